/** A worker for tests: each request says in its parameter `do` what happens to it. */
import { writeSync } from "node:fs";
import { ServingError } from "../../../proto/errors.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { serveWorker, type WorkerGroupHandler, type WorkerHandler } from "./worker-client.ts";

function numberPart(value: number): Part[] {
  const data = new TextEncoder().encode(String(value));
  return [{ $typeName: "athena.v1.Part", name: "number", type: PartType.TEXT, attributes: {}, data }];
}

await serveWorker({
  socketPath: Bun.env.ATHENA_ENGINE_SOCKET ?? "",
  token: Bun.env.ATHENA_ENGINE_TOKEN ?? "",
  maxFrameBytes: 64_000_000,
  async init(config, report) {
    report("first step");
    if (config.init === "throw") throw new Error("the model is broken");
    if (config.init === "exit") process.exit(3);
    if (config.init === "exit soon") setTimeout(() => process.exit(3), 20);
    if (config.init === "hang") await new Promise(() => setInterval(() => {}, 1000));
    const handle: WorkerHandler = async (request) => {
      switch (request.parameters.do) {
        case "crash":
          process.kill(process.pid, "SIGKILL");
          await new Promise(() => {});
          break;
        case "exit":
          process.exit(0);
          break;
        case "loop":
          // The test waits for this line: a call that is cancelled before it begins would not loop at all.
          writeSync(1, `looping ${process.pid}\n`);
          for (;;) {}
        case "pid":
          return numberPart(process.pid);
        case "spawn":
          return numberPart(Bun.spawn(["sleep", "600"]).pid);
        case "grow":
          return request.parts.map((part) => ({ ...part, data: new Uint8Array(70_000_000) }));
        case "throw":
          throw new Error("the user's code failed");
        case "refuse":
          throw new ServingError("INVALID_INPUT", "payload.data is wrong");
        case "print":
          for (let i = 0; i < 20_000; i += 1) writeSync(1, `${"x".repeat(1000)}\n`);
          break;
      }
      return request.parts;
    };
    const handleGroup: WorkerGroupHandler = async (requests) => {
      process.stdout.write(`a group of ${requests.length}\n`);
      return Promise.allSettled(requests.map(handle));
    };
    return { handle, handleGroup };
  },
});
