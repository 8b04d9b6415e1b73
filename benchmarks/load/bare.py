"""`python -m benchmarks.load.bare`: a FastAPI route that parses the same body and does nothing with it, served as driftgate is."""

from __future__ import annotations

from fastapi import FastAPI, Request

from service.api import listen, server_for


def main() -> None:
    """Tells its port and serves until it is ended."""
    app = FastAPI()

    @app.post("/samples", status_code=202)
    async def take(request: Request) -> dict[str, int]:
        sample = await request.json()
        return {"accepted": len(sample["vector"]) and 1, "rejected": 0}

    listening = listen("127.0.0.1", 0)
    print(listening.getsockname()[1], flush=True)
    server_for(app).run(sockets=[listening])


if __name__ == "__main__":
    main()
