import { existsSync, readdirSync, statSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { UsageError } from "../failure.ts";

const templates = join(import.meta.dir, "templates");
const abiHeader = join(import.meta.dir, "../../loader/engine/native/host/wrapper_abi.h");

/** What a project is made of. */
export interface ProjectKind {
  /** For the README: what does the work, and what to change. */
  readonly about: string;
  /** The folder of templates whose files it gets; none: it needs no code. */
  readonly template?: string;
  /** Files that are copied as they are, from absolute paths to paths in the project. */
  readonly copies: ReadonlyMap<string, string>;
}

const fromDefinition = "service.yaml says what goes in, with an example of it, and what comes out";

/** What there is to be made of code. */
export const codeKinds = {
  python: {
    about: "`service.py` is all of it: what `infer` takes and returns is what goes in and what comes out.",
    template: "python",
    copies: new Map(),
  },
  legacy: {
    about:
      "`wrapper.py` has the interface of the predecessor's SDK; its fields say what goes in, with an example, and what comes out.",
    template: "legacy",
    copies: new Map(),
  },
  cpp: {
    about: `\`wrapper.cpp\` has the C interface of the predecessor's wrappers; ${fromDefinition}.`,
    template: "cpp",
    copies: new Map([[abiHeader, "wrapper_abi.h"]]),
  },
  ts: {
    about: `\`processor.ts\` prepares the input of ONNX models and reads their output; ${fromDefinition}.`,
    template: "ts",
    copies: new Map(),
  },
} as const satisfies Record<string, ProjectKind>;

/**
 * What is to be made of an ONNX model. This is where it is said which files make a model a service without any code.
 *
 * @throws UsageError when there is no such file.
 */
export function kindFromModel(file: string): ProjectKind {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) throw new UsageError(`there is no file '${file}'`);
  return {
    about: "The model is all of it: its tensors are what goes in and what comes out. `1` is its version.",
    copies: new Map([[file, "1/model.onnx"]]),
  };
}

/** What a service may be called: an id in service.yaml, a segment of a path, a folder's name. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/**
 * Makes the folder of a service, which is called like it. Nothing is run, and nothing that is there is touched.
 *
 * @throws UsageError for a name that no service can have, and for a folder that has something in it.
 */
export async function createProject(folder: string, kind: ProjectKind): Promise<void> {
  const name = basename(resolve(folder));
  if (!namePattern.test(name)) {
    throw new UsageError(
      `'${name}' cannot be a service's name: expected letters, digits, '_', '.' and '-', at most 64`,
    );
  }
  if (existsSync(folder) && !(statSync(folder).isDirectory() && readdirSync(folder).length === 0)) {
    throw new UsageError(`'${folder}' is there already, and stays as it is`);
  }
  const files = new Map([["README.md", join(templates, "README.md")]]);
  if (kind.template !== undefined) {
    const source = join(templates, kind.template);
    // A .gitignore among the templates would be one of this project's own.
    for (const file of await readdir(source)) files.set(file.replace(/^gitignore$/, ".gitignore"), join(source, file));
  }
  await mkdir(folder, { recursive: true });
  for (const [file, source] of files) {
    const text = (await readFile(source, "utf8"))
      .replaceAll("SERVICE_NAME", name)
      .replaceAll("SERVICE_ABOUT", kind.about);
    await writeFile(join(folder, file), text, { flag: "wx" });
  }
  for (const [source, file] of kind.copies) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await copyFile(source, join(folder, file));
  }
}
