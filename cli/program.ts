import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { ConfigError } from "../config/load.ts";
import { version } from "../package.json";
import { create } from "./create/command.ts";
import { CommandFailure, UsageError } from "./failure.ts";
import { packageService } from "./package/command.ts";
import { Interrupted } from "./processes.ts";
import { runServices } from "./run/command.ts";
import { testServices } from "./test/command.ts";

/** What shells expect of a command that was interrupted: 128 and the number of SIGINT. */
const interruptedCode = 130;

/**
 * Runs the command line. Gives the exit code: 0 when it did what was asked, 1 when that failed, 2 when it was asked for
 * something that cannot be: an unknown flag, a folder that is no service.
 */
export async function athena(commandLine: readonly string[]): Promise<number> {
  let code = 0;
  const program = createProgram((result) => {
    code = result;
  });
  try {
    await program.parseAsync([...commandLine], { from: "user" });
    return code;
  } catch (thrown) {
    return codeOf(thrown);
  }
}

/** Tells the user what went wrong, and gives the exit code. */
function codeOf(thrown: unknown): number {
  // Commander has told it already, or shown what was asked for.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  if (thrown instanceof Interrupted) return interruptedCode;
  if (thrown instanceof UsageError || thrown instanceof ConfigError) {
    console.error(`error: ${thrown.message}`);
    return 2;
  }
  // Anything else is a fault of the command itself, and its stack is what helps.
  console.error(thrown instanceof CommandFailure ? `error: ${thrown.message}` : thrown);
  return 1;
}

function createProgram(onEnd: (code: number) => void): Command {
  const program = new Command("athena")
    .description("Turns inference code into a service, and serves it.")
    .version(version)
    .exitOverride();
  program
    .command("create")
    .description("make the folder of a service, with an example of its input")
    .argument("<dir>", "the folder; its name becomes the service's")
    .addOption(new Option("--python", "Python code").conflicts(["cpp", "onnx", "ts"]))
    .addOption(new Option("--legacy", "with --python: the interface of the predecessor's SDK"))
    .addOption(new Option("--cpp", "C++ code, built into a library").conflicts(["onnx", "ts"]))
    .addOption(new Option("--onnx <file>", "an ONNX model without any code").conflicts("ts"))
    .addOption(new Option("--ts", "TypeScript code around ONNX models"))
    .action(create);
  program
    .command("run")
    .description("serve folders, and load them anew when their files change")
    .argument("<dir...>", "folders of services; a service.py, a wrapper.py or an .onnx file stands for its own")
    .option("--host <address>", "where the gateway listens", "127.0.0.1")
    .option("--port <port>", "the gateway's port; 0: any that is free", portFrom, 30889)
    .option("--loader-port <port>", "the loader's port", portFrom, 5090)
    .action(async (paths: string[], options: Parameters<typeof runServices>[1]) =>
      onEnd(await runServices(paths, options)),
    );
  program
    .command("test")
    .description("start services, call them with their test values, and check the answers")
    .argument("<dir...>", "as for run")
    .option("--expect <file>", "the outputs that are expected, as JSON (expected.json in the folder)")
    .action(async (paths: string[], options: Parameters<typeof testServices>[1]) =>
      onEnd(await testServices(paths, options)),
    );
  program
    .command("package")
    .description("write what a service's image is built from, and how Kubernetes runs it, into its folder")
    .argument("<dir>", "the folder of a service")
    .option("--image <name>", "the image's name (the service's id and version)")
    .option("--force", "write files anew that are there already")
    .action(packageService);
  return program;
}

function portFrom(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65535) return port;
  throw new InvalidArgumentError("expected a number up to 65535");
}
