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
  /** The variables that it sets, as they are written. */
  readonly environment: Map<string, string>;
}

/** What a replay may need beside the Dockerfile. */
export interface ReplayOptions {
  /** Stages of other replays, by the names of the images that they stand for. */
  readonly bases?: ReadonlyMap<string, Stage>;
  /** A folder of commands that stand in for those that would change the machine, such as apt-get. */
  readonly standIns?: string;
}

/**
 * Replays a Dockerfile without a Docker engine: copies what it copies and runs what it runs, each stage in a folder of its
 * own. What is not shown by this: the base image itself, and files' owners.
 *
 * @throws Error for a command that fails and for a COPY whose source does not exist.
 */
export async function replay(
  dockerfile: string,
  context: string,
  target: string,
  options: ReplayOptions = {},
): Promise<readonly Stage[]> {
  const stages: Stage[] = [];
  const defaults = new Map<string, string>();
  const text = await Bun.file(join(context, dockerfile)).text();
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    const content = instruction.getRawArgumentsContent() ?? "";
    if (instruction.getKeyword() === "FROM") {
      const [, image = "", name] = /^(\S+)(?:\s+AS\s+(\S+))?/i.exec(content) ?? [];
      const base = options.bases?.get(image.replace(/^\$\{(\w+)\}$/, (_, argument) => defaults.get(argument) ?? ""));
      stages.push(await begin(name, join(target, `stage-${stages.length}`), base));
      continue;
    }
    const stage = stages.at(-1);
    if (stage !== undefined) await apply(instruction, stage, stages, context, options);
    else defaults.set(content.split("=")[0] ?? "", content.split("=")[1] ?? "");
  }
  return stages;
}

async function begin(name: string | undefined, root: string, base: Stage | undefined): Promise<Stage> {
  await mkdir(root, { recursive: true });
  const empty = { workdir: "/", user: "root", entrypoint: [], healthcheck: "", environment: new Map() };
  if (base === undefined) return { ...empty, name, root };
  // Hard links: an image adds files to its base, and writes into none.
  const copied = Bun.spawnSync(["cp", "-al", `${base.root}/.`, root]);
  if (!copied.success) throw new Error(copied.stderr.toString());
  return { ...base, environment: new Map(base.environment), name, root };
}

async function apply(
  instruction: Instruction,
  stage: Stage,
  stages: readonly Stage[],
  context: string,
  options: ReplayOptions,
): Promise<void> {
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
      runIn(stage, instruction.getRawArgumentsContent() ?? "", options.standIns);
      break;
    case "ENV": {
      const [name = "", value = ""] = (instruction.getRawArgumentsContent() ?? "").split("=");
      stage.environment.set(name, value);
      break;
    }
    case "COPY":
      await copyInto(stage, instruction as Copy, args, stages, context);
      break;
  }
}

function runIn(stage: Stage, command: string, standIns: string | undefined): void {
  const script = command.replaceAll("\\\n", "").replace(" && rm -rf /var/lib/apt/lists/*", "");
  if (/\s\//.test(script)) throw new Error(`${command}\nwould reach outside of the folder that stands for its root`);
  const bunFolder = dirname(process.execPath);
  const result = Bun.spawnSync(["sh", "-ec", script], {
    cwd: join(stage.root, stage.workdir),
    env: {
      ...process.env,
      PATH: [standIns, bunFolder, process.env.PATH].filter((folder) => folder !== undefined).join(":"),
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
