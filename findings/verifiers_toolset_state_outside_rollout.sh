#!/usr/bin/env bash
# verifiers 0.4.0: a toolset with a state forgets it between calls when served without a rollout.
#
# One would guess: outside a rollout the state lives in the toolset object, as it does when the
#   methods are called directly: the property falls back to one state that stays.
# Behaviour: register() wraps each tool so that it fetches the state over the rollout's channel;
#   where no channel is set, each call starts from a new state, and what it changed is thrown away.
#   The replies look right, one by one. Tools tried by hand or in a unit test never count beyond 1.
# What follows: test a stateful toolset through a rollout, or call its methods.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check verifiers==0.4.0
"$folder/env/bin/python" - <<'PYTHON'
import asyncio

import verifiers.v1 as vf
from mcp.server.mcpserver import MCPServer


class Counted(vf.State):
    calls: int = 0


class Box(vf.Toolset[vf.ToolsetConfig, Counted]):
    @vf.tool
    async def push(self) -> int:
        """Counts a call."""
        self.state.calls += 1
        return self.state.calls


async def main():
    box = Box(vf.ToolsetConfig())
    server = MCPServer("box")
    box.register(server)
    served = [(await server.call_tool("push", {})).structured_content for _ in range(3)]
    direct = [await box.push() for _ in range(3)]
    print("served:", served)
    print("direct:", direct)
    assert served == [{"result": 1}] * 3, served
    assert direct == [1, 2, 3], direct


asyncio.run(main())
PYTHON
