/**
 * Runs every test and closes with the line `N passed, N failed`, which is what CI reads. Before that it makes the
 * Python environment that the client tests need, in a folder of the project, so that nothing is installed elsewhere.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const venv = join(root, ".cache/python");
const requirements = join(root, "tests/interop/requirements.txt");
const analyzerFolder = join(root, ".cache/perf-analyzer");
const analyzerRequirements = join(root, "tests/interop/perf-analyzer.txt");

const goRequirements = join(root, "tests/interop/go.txt");

const needsVenv = "the client tests need python3 with its venv module (Debian: apt-get install python3-venv)";

function stopWith(message: string): never {
  console.error(message);
  console.log("0 passed, 1 failed");
  process.exit(1);
}

function run(command: string[], hint: string): void {
  const result = Bun.spawnSync(command, { cwd: root, stdout: "inherit", stderr: "inherit" });
  if (!result.success) stopWith(`${command.join(" ")} failed: ${hint}`);
}

/** Whether a folder was made from these requirements already; `done` says that it is now. */
async function freshness(folder: string, file: string): Promise<{ isFresh: boolean; done: () => Promise<unknown> }> {
  const stamp = join(folder, "requirements.txt");
  const wanted = await Bun.file(file).text();
  const isFresh = existsSync(stamp) && (await Bun.file(stamp).text()) === wanted;
  return { isFresh, done: () => Bun.write(stamp, wanted) };
}

async function preparePython(): Promise<void> {
  const { isFresh, done } = await freshness(venv, requirements);
  if (isFresh) return;
  const python = Bun.which("python3");
  if (python === null) stopWith(needsVenv);
  run([python, "-m", "venv", "--clear", venv], needsVenv);
  run(
    [join(venv, "bin/pip"), "install", "--quiet", "--no-compile", "-r", requirements],
    "the Python clients could not be installed",
  );
  await done();
}

/** Without it, as on a machine that its program is not for, its tests are skipped. */
async function prepareAnalyzer(): Promise<void> {
  const { isFresh, done } = await freshness(analyzerFolder, analyzerRequirements);
  if (isFresh) return;
  const pip = [join(venv, "bin/pip"), "install", "--quiet", "--no-deps", "--upgrade", "--target", analyzerFolder];
  const { success } = Bun.spawnSync([...pip, "-r", analyzerRequirements], { stdout: "inherit", stderr: "inherit" });
  if (success) await done();
}

/** The Go that the machine has, where it can fetch a newer one by itself, as from 1.21 on; else one of the environment's. */
function prepareGo(): string {
  const own = Bun.which("go");
  const version = own === null ? "" : Bun.spawnSync([own, "version"]).stdout.toString();
  if (own !== null && Number(/go1\.(\d+)/.exec(version)?.[1] ?? 0) >= 21) return own;
  const go = join(venv, "bin/go");
  const install = [join(venv, "bin/pip"), "install", "--quiet", "--no-compile", "-r", goRequirements];
  if (!existsSync(go)) run(install, "Go could not be installed (Debian: apt-get install golang-go, 1.21 or later)");
  return go;
}

/** The number before `word` at the start of one of the runner's closing lines. */
function count(output: string, word: string): number {
  return Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(output)?.[1] ?? 0);
}

if (Bun.which("g++") === null || Bun.which("make") === null)
  stopWith("the tests of the native engine need a C++ compiler and make (Debian: apt-get install g++ make)");
await preparePython();
await prepareAnalyzer();
const go = prepareGo();
const tests = Bun.spawn([process.execPath, "test", "--timeout", "60000", ...process.argv.slice(2)], {
  cwd: root,
  stdout: "inherit",
  stderr: "pipe",
  env: {
    ...process.env,
    ATHENA_TEST_PYTHON: join(venv, "bin/python"),
    ATHENA_TEST_PERF_ANALYZER: analyzerFolder,
    ATHENA_TEST_GO: go,
  },
});
// Bun's runner reports on standard error.
const decoder = new TextDecoder();
let output = "";
for await (const chunk of tests.stderr) {
  process.stderr.write(chunk);
  output += decoder.decode(chunk, { stream: true });
}
const code = await tests.exited;
const failed = count(output, "fail");
const skipped = count(output, "skip");
const unexplained = code !== 0 && failed === 0 ? 1 : 0;
const skippedText = skipped > 0 ? `, ${skipped} skipped` : "";
console.log(`${count(output, "pass")} passed, ${failed + unexplained} failed${skippedText}`);
process.exit(code);
