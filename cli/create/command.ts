import { UsageError } from "../failure.ts";
import { codeKinds, createProject, kindFromModel, type ProjectKind } from "./project.ts";

/** What `athena create` is told: one of the kinds. */
export interface CreateOptions {
  readonly python?: boolean;
  /** With `python`: the interface of the predecessor's SDK. */
  readonly legacy?: boolean;
  readonly cpp?: boolean;
  readonly ts?: boolean;
  /** The file of a model. */
  readonly onnx?: string;
}

/** Makes a project and says what comes next. */
export async function create(folder: string, options: CreateOptions): Promise<void> {
  await createProject(folder, kindFrom(options));
  // As a script of this project it is not on the path.
  const athena = process.env.npm_lifecycle_event === "athena" ? "bun run athena" : "athena";
  console.log(`${folder} is there. Next:\n  ${athena} test ${folder}\n  ${athena} run ${folder}`);
}

function kindFrom({ python, legacy, cpp, ts, onnx }: CreateOptions): ProjectKind {
  if (legacy && !python) throw new UsageError("--legacy goes with --python");
  if (python) return legacy ? codeKinds.legacy : codeKinds.python;
  if (cpp) return codeKinds.cpp;
  if (ts) return codeKinds.ts;
  if (onnx !== undefined) return kindFromModel(onnx);
  throw new UsageError("one of --python, --cpp, --onnx FILE and --ts says what is to be made");
}
