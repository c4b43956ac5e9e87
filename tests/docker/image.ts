import { cp, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Copy, DockerfileParser, type Instruction, type JSONInstruction } from "dockerfile-ast";

/** One stage of a Dockerfile, replayed in a folder that stands for its root. */
export interface Stage {
  readonly name: string | undefined;
  readonly root: string;
  workdir: string;
  user: string;
  entrypoint: readonly string[];
  healthcheck: string;
}

/**
 * Replays a Dockerfile without a Docker engine: copies what it copies and runs what it runs, each stage in a folder of its
 * own. What is not shown by this: the base image itself, and files' owners.
 *
 * @throws Error for a command that fails and for a COPY whose source does not exist.
 */
export async function replay(dockerfile: string, context: string, target: string): Promise<readonly Stage[]> {
  const stages: Stage[] = [];
  const text = await Bun.file(join(context, dockerfile)).text();
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    if (instruction.getKeyword() === "FROM") {
      const name = /\bAS\s+(\S+)/i.exec(instruction.getRawArgumentsContent() ?? "")?.[1];
      const root = join(target, `stage-${stages.length}`);
      await mkdir(root, { recursive: true });
      stages.push({ name, root, workdir: "/", user: "root", entrypoint: [], healthcheck: "" });
      continue;
    }
    const stage = stages.at(-1);
    if (stage !== undefined) await apply(instruction, stage, stages, context);
  }
  return stages;
}

async function apply(instruction: Instruction, stage: Stage, stages: readonly Stage[], context: string): Promise<void> {
  const args = instruction.getArguments().map((argument) => argument.getValue());
  switch (instruction.getKeyword()) {
    case "WORKDIR":
      stage.workdir = args[0] ?? "/";
      await mkdir(join(stage.root, stage.workdir), { recursive: true });
      break;
    case "USER":
      stage.user = args[0] ?? "";
      break;
    case "HEALTHCHECK":
      stage.healthcheck = instruction.getRawArgumentsContent() ?? "";
      break;
    case "ENTRYPOINT":
      // The class is chosen by the keyword.
      stage.entrypoint = (instruction as JSONInstruction).getJSONStrings().map((text) => JSON.parse(text.getValue()));
      break;
    case "RUN":
      runIn(stage, instruction.getRawArgumentsContent() ?? "");
      break;
    case "COPY":
      await copyInto(stage, instruction as Copy, args, stages, context);
      break;
  }
}

function runIn(stage: Stage, command: string): void {
  const script = command.replaceAll("\\\n", "");
  const bunFolder = dirname(process.execPath);
  const result = Bun.spawnSync(["sh", "-ec", script], {
    cwd: join(stage.root, stage.workdir),
    env: {
      ...process.env,
      PATH: `${bunFolder}:${process.env.PATH}`,
      TARGETARCH: process.arch === "x64" ? "amd64" : process.arch,
    },
  });
  if (!result.success) throw new Error(`${command}\n${result.stdout}${result.stderr}`);
}

async function copyInto(
  stage: Stage,
  copy: Copy,
  args: readonly string[],
  stages: readonly Stage[],
  context: string,
): Promise<void> {
  const from = copy.getFromFlag()?.getValue();
  const source = from === undefined || from === null ? context : stages.find(({ name }) => name === from)?.root;
  if (source === undefined) throw new Error(`COPY --from=${from}: there is no such stage`);
  const paths = args.filter((arg) => !arg.startsWith("--"));
  const destination = paths.at(-1) ?? "";
  const base = destination.startsWith("/") ? destination : join(stage.workdir, destination);
  for (const path of paths.slice(0, -1)) {
    const name = destination.endsWith("/") && from === undefined ? path : "";
    await cp(join(source, path), join(stage.root, base, name), { recursive: true });
  }
}
