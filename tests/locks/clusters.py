"""Real Redis Clusters and Sentinels for tests, made of private servers."""

import os
from contextlib import ExitStack

import redis

from stockade.devservers import redis as recipes
from stockade.devservers.process import HOST, ServerSpec, free_port
from tests.waiting import eventually

NODE_TIMEOUT_MS = 1_500


def start_cluster(servers, masters=3, replicas_of_first=0):
    """Nodes of a cluster that is ready: its masters, which share the slots, then replicas of the first one."""
    settings = {"cluster_node_timeout": NODE_TIMEOUT_MS, "cluster_require_full_coverage": "no"}
    nodes = [
        servers.redis(cluster_enabled="yes", cluster_port=free_port(), **settings)
        for _ in range(masters + replicas_of_first)
    ]
    with ExitStack() as stack:
        clients = [stack.enter_context(redis.Redis.from_url(node.url, decode_responses=True)) for node in nodes]
        ports = [client.config_get("cluster-port")["cluster-port"] for client in clients]
        edges = [round(number * 16_384 / masters) for number in range(masters + 1)]
        for client, start, end in zip(clients, edges, edges[1:], strict=False):
            client.execute_command("CLUSTER ADDSLOTSRANGE", start, end - 1)
        for node, port in zip(nodes[1:], ports[1:], strict=True):
            clients[0].execute_command("CLUSTER MEET", HOST, node.port, port)
        first = clients[0].execute_command("CLUSTER MYID")
        for client in clients[masters:]:
            eventually(lambda client=client: first in str(client.execute_command("CLUSTER NODES")))
            eventually(lambda client=client: _replicates(client, first))
        for client in clients:
            eventually(lambda client=client: _ready(client, len(nodes)))
    return nodes


def _replicates(client, master):
    try:
        return client.execute_command("CLUSTER REPLICATE", master)
    except redis.exceptions.ResponseError:  # it has not heard of the master's slots yet
        return False


def _ready(client, nodes):
    info = client.execute_command("CLUSTER INFO")
    shown = info if isinstance(info, dict) else dict(line.split(":", 1) for line in info.split())
    slots = client.execute_command("CLUSTER SLOTS")
    return shown["cluster_state"] == "ok" and int(shown["cluster_known_nodes"]) == nodes and len(slots) > 1


def start_sentinel(servers, master, name="main"):
    """A Sentinel that watches `master` and promotes its replica soon after it is gone."""
    workdir = servers._workdir
    folder = workdir.new_folder("sentinel")
    program = recipes.create(workdir, recipes.find(), folder)
    config = folder / "sentinel.conf"
    lines = [
        f"sentinel monitor {name} {HOST} {master.port} 1",
        f"sentinel down-after-milliseconds {name} 500",
        f"sentinel failover-timeout {name} 5000",
        f"bind {HOST}",
        f"dir {folder}",
    ]
    config.write_text("\n".join(lines) + "\n")
    if workdir.user:
        os.chown(config, workdir.user.uid, workdir.user.gid)
    return servers._start(
        folder,
        lambda port: ServerSpec(
            kind="redis",
            program=program,
            arguments=(str(config), "--port", str(port), "--sentinel"),
            port=port,
            url=f"redis://{HOST}:{port}",
            ready="Sentinel ID is",
        ),
    )
