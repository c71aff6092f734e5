"""The metrics that a real service exports, read once for all tests of this folder in one worker."""

import asyncio

import pytest

from tests.deploy.exported import ELSEWHERE, metrics_of, walk


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Name of each series of our own -> what is known of it."""
    return metrics_of(asyncio.run(walk(tmp_path_factory.mktemp("walk"))))


@pytest.fixture
def known(exported):
    """The same with those that Prometheus and node_exporter make."""
    return {**exported, **ELSEWHERE}
