/** A worker for tests: each request says in its parameter `do` what happens to it. */
import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import { ServingError } from "../../../proto/errors.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import {
  serveWorker,
  type WorkerGroupHandler,
  type WorkerHandler,
  type WorkerResourceHandler,
} from "./worker-client.ts";

function textPart(name: string, text: string): Part[] {
  const data = new TextEncoder().encode(text);
  return [{ $typeName: "athena.v1.Part", name, type: PartType.TEXT, attributes: {}, data }];
}

const numberPart = (value: number): Part[] => textPart("number", String(value));

const resources = new Map<number, string>();

/**
 * Keeps a resource's text. `PATH then FAULT` is kept by the first process that makes the file, and is a fault to the others;
 * `PATH causes FAULT` is one once the file is there.
 */
const handleResource: WorkerResourceHandler = async (id, parts) => {
  if (parts === undefined) {
    if (resources.get(id) === "clings") throw new ServingError("ENGINE_FAILED", "it clings", { engineCode: 8 });
    resources.delete(id);
    return;
  }
  const text = new TextDecoder().decode(parts[0]?.data);
  const [, path = "", word, fault] = /^(\S+) (then|causes) (\S+)$/.exec(text) ?? [];
  if (word === "then" ? !isFirst(path) : word === "causes" && existsSync(path)) {
    if (fault === "refuse") throw new ServingError("ENGINE_FAILED", "I do not like this", { engineCode: 7 });
    if (fault === "die") process.kill(process.pid, "SIGKILL");
    writeSync(1, `hanging over ${id}\n`);
    await new Promise(() => {});
  }
  resources.set(id, text);
};

function isFirst(path: string): boolean {
  try {
    closeSync(openSync(path, "wx"));
    return true;
  } catch {
    return false;
  }
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
        case "name":
          return textPart("texts", request.resourceIds.map((id) => resources.get(id) ?? "none").join());
        case "hold":
          return textPart("held", `${process.pid}: ${[...resources.keys()].join()}`);
        case "wait":
          while (!existsSync(request.parameters.path ?? "")) await Bun.sleep(5);
          break;
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
    return { handle, handleGroup, handleResource };
  },
});
