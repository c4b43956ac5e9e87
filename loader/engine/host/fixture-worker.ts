/** A worker for tests: each request says in its parameter `do` what happens to it. */
import { ServingError } from "../../../proto/errors.ts";
import { serveWorker } from "./worker-client.ts";

await serveWorker({
  socketPath: Bun.env.ATHENA_ENGINE_SOCKET ?? "",
  token: Bun.env.ATHENA_ENGINE_TOKEN ?? "",
  maxFrameBytes: 64_000_000,
  async init(config, report) {
    report("first step");
    if (config.init === "throw") throw new Error("the model is broken");
    if (config.init === "exit") process.exit(3);
    if (config.init === "hang") await new Promise(() => setInterval(() => {}, 1000));
    return async (request) => {
      switch (request.parameters.do) {
        case "crash":
          process.kill(process.pid, "SIGKILL");
          await new Promise(() => {});
          break;
        case "exit":
          process.exit(0);
          break;
        case "loop":
          for (;;) {}
        case "throw":
          throw new Error("the user's code failed");
        case "refuse":
          throw new ServingError("INVALID_INPUT", "payload.data is wrong");
        case "print":
          for (let i = 0; i < 20_000; i += 1) process.stdout.write(`${"x".repeat(1000)}\n`);
          break;
      }
      return request.parts;
    };
  },
});
