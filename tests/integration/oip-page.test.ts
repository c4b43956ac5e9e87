import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drawSamplePicture } from "../../cli/demo/sample-picture.ts";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { startGateway, urlOf } from "./cluster.ts";
import { blocksOf } from "./page.ts";

const page = join(import.meta.dir, "../../docs/open-inference-protocol.md");
const python = process.env.ATHENA_TEST_PYTHON ?? "python3";
const local = { host: "127.0.0.1", port: 0 };
let folder: string;
let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-page-"));
  const model = join(import.meta.dir, "../fixtures/models/perceptron.onnx");
  const services = [model, ...["mmocr", "echo"].map((id) => join(import.meta.dir, "../../config/services", id))];
  loader = await startServiceProcess({
    main: "loader/main.ts",
    config: JSON.stringify({ listen: local, admin: local, services }),
  });
  await waitUntilReady(loader, ["perceptron", "mmocr", "echo"]);
  gateway = await startGateway(["perceptron", "mmocr", "echo"].map((id) => ({ id, endpoints: [urlOf(loader)] })));
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await rm(folder, { recursive: true });
});

async function outputOf(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { cwd: folder, stdout: "pipe", stderr: "inherit" });
  return await Bun.readableStreamToText(child.stdout);
}

test("the page's clients get the model's answer over REST and gRPC, and its curl line the same", async () => {
  const [script = ""] = await blocksOf(page, "python");
  await writeFile(join(folder, "client.py"), script);
  const host = new URL(urlOf(gateway)).host;
  const output = await outputOf([python, "client.py", host, new URL(addressOf(gateway, "grpc")).host]);
  const [overRest, overGrpc] = output.trim().split("\n");
  expect(overRest).toMatch(/^\[\[[-\d. ]+\]\]$/);
  expect(overGrpc).toBe(overRest);
  const [infer = ""] = await blocksOf(page, "sh");
  const answer = JSON.parse(
    await outputOf(["sh", "-c", infer.replace("127.0.0.1:30889", host).replace("curl", "curl -s")]),
  );
  expect(answer).toMatchObject({
    model_name: "perceptron",
    id: "1",
    outputs: [{ name: "y", datatype: "FP32", shape: [1, 4] }],
  });
  const rounded = answer.outputs[0].data.map((value: number) => Math.round(value * 100) / 100);
  expect(rounded).toEqual(overRest?.match(/-?[\d.]+/g)?.map(Number));
});

test("the page's other curl line reads the words of a picture", async () => {
  const [, raw = ""] = await blocksOf(page, "sh");
  await writeFile(join(folder, "sample.png"), await drawSamplePicture());
  const output = await outputOf([
    "sh",
    "-c",
    raw.replace("127.0.0.1:30889", new URL(urlOf(gateway)).host).replace("curl", "curl -s"),
  ]);
  expect(output).toContain('"name":"boxes","datatype":"BYTES","shape":[1]');
  expect(output.toLowerCase()).toContain('"text":"athena"');
});

test("a model whose rows are computed together has a batch size, and its dimensions are those of a row", async () => {
  const config = await (await fetch(`${urlOf(gateway)}/v2/models/perceptron/config`)).json();
  expect(config).toMatchObject({
    max_batch_size: expect.any(Number),
    input: [{ name: "x", data_type: "TYPE_FP32", dims: [8] }],
    output: [{ name: "y", data_type: "TYPE_FP32", dims: [4] }],
  });
  const metadata = await (await fetch(`${urlOf(gateway)}/v2/models/perceptron`)).json();
  expect(metadata).toMatchObject({ inputs: [{ name: "x", datatype: "FP32", shape: [-1, 8] }] });
});

test("the page's text is generated, at once and as a stream, as it says", async () => {
  const [, , generate = ""] = await blocksOf(page, "sh");
  const [answer = ""] = await blocksOf(page, "json");
  const host = new URL(urlOf(gateway)).host;
  const command = generate.replaceAll("127.0.0.1:30889", host).replaceAll("curl", "curl -s").replace("\n", "\necho\n");
  const [once = "", streamed = ""] = (await outputOf(["sh", "-c", command])).trim().split("\n");
  expect(JSON.parse(once)).toEqual(JSON.parse(answer));
  expect(JSON.parse(streamed.replace(/^data: /, ""))).toMatchObject({ model_name: "echo", text_output: "hello" });
});
