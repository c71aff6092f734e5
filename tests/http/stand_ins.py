"""Strategies that do what a test needs: hold a command until an event, or end it with an error."""

import asyncio


class Held:
    """Holds every command before it is carried out until `go` is set; `arrived` says that one is there."""

    def __init__(self, shop, resource="stock"):
        self.under = shop.strategies[resource]
        self.name, self.guarantees = self.under.name, self.under.guarantees
        self.arrived, self.go = asyncio.Event(), asyncio.Event()
        self.executed = self.depth = 0
        shop.strategies[resource] = self

    async def execute(self, command):
        self.executed += 1
        self.arrived.set()
        await self.go.wait()
        return await self.under.execute(command)


class Failing:
    """Answers every command with an exception."""

    def __init__(self, shop, error, resource="stock"):
        self.name, self.error, self.depth = "failing", error, 0
        shop.strategies[resource] = self

    async def execute(self, command):
        raise self.error
