import { expect, test } from "bun:test";
import { createProcesses, Interrupted } from "./processes.ts";

const local = { host: "127.0.0.1", port: 0 };

test("a process that is just being started has ended, with what was made for it, when all is stopped", async () => {
  const processes = createProcesses();
  const config = JSON.stringify({ listen: local, admin: local, services: [] });
  const started = processes
    .start("loader", { main: "loader/main.ts", config })
    .then(() => "started")
    .catch((thrown: unknown) => thrown);
  expect(await processes.stop()).toBe(true);
  expect(Bun.peek.status(started)).toBe("fulfilled");
  expect(await started).toBeInstanceOf(Interrupted);
  await processes[Symbol.asyncDispose]();
});
