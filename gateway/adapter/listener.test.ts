import { expect, test } from "bun:test";
import { connect } from "node:net";
import { listen } from "./listener.ts";

/** A client that asks for a path, and reads nothing of its answer; gives what makes it leave. */
function askAndIgnore(url: string, path: string): () => void {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  socket.pause();
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
  return () => void socket.destroy();
}

test("an answer that nobody reads is kept no longer than a connection may be silent, also when its call held it open", async () => {
  const gone: string[] = [];
  const onGone = Promise.withResolvers<void>();
  const listener = listen(
    { host: "127.0.0.1", port: 0 },
    async (request, bindings) => {
      const path = new URL(request.url).pathname;
      request.signal.addEventListener("abort", () => {
        gone.push(path);
        onGone.resolve();
      });
      bindings.holdOpen();
      // As an answer that takes its time.
      await Bun.sleep(1);
      if (path === "/let-go") bindings.letGo();
      return new Response(new Uint8Array(30_000_000));
    },
    undefined,
    1,
  );
  const leaveHeld = askAndIgnore(listener.url, "/held");
  const leave = askAndIgnore(listener.url, "/let-go");
  await onGone.promise;
  expect(gone).toEqual(["/let-go"]);
  leaveHeld();
  leave();
  listener.close();
});
