"""A TCP proxy in front of a store that delays responses or stops answering."""

import asyncio
import threading


class FaultProxy:
    """Forwards connections to `target`. Set `delay_s` to delay each response, and `hangs` to hold back all data."""

    def __init__(self, target: tuple[str, int]):
        self.target, self.delay_s, self.hangs = target, 0.0, False
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        self.ready.wait()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader, writer):
        try:
            store_reader, store_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._copy(reader, store_writer, 0), self._copy(store_reader, writer, 1), return_exceptions=True)

    async def _copy(self, reader, writer, is_response: int):
        try:
            while data := await reader.read(65536):
                if is_response and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                while self.hangs:
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
