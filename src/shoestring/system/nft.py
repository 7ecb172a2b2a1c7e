"""nftables through nft(8): one transaction a call."""

from __future__ import annotations

from shoestring.system.run import run, run_async


async def load(text: str) -> None:
    """Load a ruleset text in one transaction; raises CommandError."""
    await run_async(["nft", "-f", "-"], stdin=text, timeout_seconds=5)


async def listed(family: str, name: str) -> str:
    """Return a table as nft lists it; raises CommandError where it is not there."""
    done = await run_async(["nft", "list", "table", family, name], timeout_seconds=5)
    return done.out


async def delete_table(family: str, name: str) -> None:
    """Delete a table; one that is not there is fine."""
    text = f"table {family} {name}\ndelete table {family} {name}\n"
    await run_async(["nft", "-f", "-"], stdin=text, timeout_seconds=5)


def check(text: str) -> str:
    """Return what nft says against a text, or nothing if it would load."""
    result = run(["nft", "--check", "-f", "-"], stdin=text, check=False)
    return "" if result.code == 0 else result.err.strip()


def can_forward_at_ingress() -> bool:
    """Tell whether this kernel can hand packets on at the network card (nft_fwd_netdev).

    Tried for real: a rule on lo for an address of documentation, taken away at once.
    """
    table = "table netdev shoestring_probe"
    rule = "ip daddr 192.0.2.1 fwd ip to 192.0.2.2 device lo"
    chain = f"chain in {{\ntype filter hook ingress device lo priority 0;\n{rule}\n}}"
    able = run(["nft", "-f", "-"], stdin=f"{table} {{\n{chain}\n}}\n", check=False).code == 0
    run(["nft", "-f", "-"], stdin=f"{table}\ndelete {table}\n", check=False)
    return able
