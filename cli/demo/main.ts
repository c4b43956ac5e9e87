/**
 * The demo: starts a loader with the text-recognition service and a gateway in front, sends the documented request
 * with a picture, prints what comes back, draws the boxes onto the picture, and stops everything.
 */
import { mkdir } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  addressOf,
  type LogLine,
  type ServiceProcess,
  startServiceProcess,
  waitUntilReady,
} from "../service-process.ts";
import { annotate } from "./annotate.ts";
import { wordsFromAnswer } from "./answer.ts";
import { demoRequest } from "./request.ts";
import { drawSamplePicture } from "./sample-picture.ts";

const usage = `usage: bun run demo [--image FILE] [--serve] [--port PORT]

  --image FILE  read this picture (JPEG, PNG, BMP or WebP) instead of the sample
  --serve       keep running afterwards, and print a curl line
  --port PORT   the gateway's port on 127.0.0.1 (30889)`;

interface DemoOptions {
  readonly image: string | undefined;
  readonly serve: boolean;
  readonly port: number;
}

function optionsFromArguments(): DemoOptions {
  const { values } = parseArgs({
    options: {
      image: { type: "string" },
      serve: { type: "boolean", default: false },
      port: { type: "string", default: "30889" },
    },
  });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new Error("--port: expected a number up to 65535");
  return { image: values.image, serve: values.serve, port };
}

const outputFolder = resolve("demo-output");
const servicesFolder = join(import.meta.dir, "../../config/services");

async function main(options: DemoOptions): Promise<void> {
  await mkdir(outputFolder, { recursive: true });
  const picture = await readPicture(options.image);
  await using processes = new AsyncDisposableStack();
  console.log("Starting a loader; it loads the models of the service mmocr ...");
  const loader = await startServiceProcess({ main: "loader/main.ts", config: loaderConfig(), onLog: showProgress });
  processes.defer(() => stopQuietly(loader));
  const loaderUrl = addressOf(loader, "public");
  const gateway = await startServiceProcess({
    main: "gateway/main.ts",
    config: gatewayConfig(options.port, loaderUrl),
  });
  processes.defer(() => stopQuietly(gateway));
  await waitUntilReady(gateway, ["mmocr", "echo"]);
  const url = `${addressOf(gateway, "public")}/v1/private/mmocr`;
  console.log(`The gateway listens at ${addressOf(gateway, "public")}, the loader at ${loaderUrl}.\n`);
  await recognise(url, picture);
  if (options.serve) await serve(url);
}

interface Picture {
  readonly bytes: Uint8Array;
  readonly path: string;
  readonly encoding: string;
}

async function readPicture(image: string | undefined): Promise<Picture> {
  if (image === undefined) {
    const path = join(outputFolder, "sample.png");
    const bytes = await drawSamplePicture();
    await Bun.write(path, bytes);
    return { bytes, path, encoding: "png" };
  }
  const file = Bun.file(image);
  if (!(await file.exists())) throw new Error(`--image: there is no file ${image}`);
  const encoding = extname(image).slice(1).toLowerCase() || "jpg";
  return { bytes: await file.bytes(), path: resolve(image), encoding };
}

async function recognise(url: string, picture: Picture): Promise<void> {
  const request = demoRequest(picture.bytes, picture.encoding);
  const shown = JSON.stringify(request, null, 2).replace(/("image": ".{60})[^"]*"/, '$1..."');
  console.log(`POST ${url}\ncontent-type: application/json\n\n${shown}\n`);
  const started = performance.now();
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  const answer: unknown = await response.json();
  console.log(`${response.status} after ${Math.round(performance.now() - started)} ms`);
  if (!response.ok) throw new Error(`the gateway refused: ${JSON.stringify(answer)}`);
  const words = wordsFromAnswer(answer);
  for (const { box, box_score, text, text_score } of words) {
    console.log(
      `box located at [${box.join(", ")}], box score is ${box_score.toFixed(3)}. ` +
        `Detected text is ${text}, text score is ${text_score.toFixed(3)}.`,
    );
  }
  await writeAnnotated(picture, words);
}

async function writeAnnotated(picture: Picture, words: ReturnType<typeof wordsFromAnswer>): Promise<void> {
  const path = join(outputFolder, `${basename(picture.path, extname(picture.path))}-boxes.png`);
  try {
    await Bun.write(path, await annotate(picture.bytes, words));
    console.log(`\n${words.length} words. The picture: ${picture.path}\nWith its boxes: ${path}`);
  } catch {
    console.log(`\n${words.length} words. Boxes can be drawn onto JPEG, PNG and WebP pictures only.`);
  }
}

async function serve(url: string): Promise<void> {
  const body = join(outputFolder, "request.json");
  await Bun.write(body, JSON.stringify(demoRequest(await drawSamplePicture(), "png")));
  console.log(`\nServing until Ctrl-C. Try:\n  curl -H 'content-type: application/json' -d @${body} ${url}`);
  await new Promise<void>((stop) => {
    process.once("SIGINT", () => stop());
    process.once("SIGTERM", () => stop());
  });
}

function loaderConfig(): string {
  return JSON.stringify({
    listen: { host: "127.0.0.1", port: 0 },
    admin: { host: "127.0.0.1", port: 0 },
    services: [join(servicesFolder, "mmocr"), join(servicesFolder, "echo")],
  });
}

function gatewayConfig(port: number, loaderUrl: string): string {
  return JSON.stringify({
    listen: { host: "127.0.0.1", port },
    grpcListen: { host: "127.0.0.1", port: 0 },
    admin: { host: "127.0.0.1", port: 0 },
    services: ["mmocr", "echo"].map((id) => ({ id, endpoints: [loaderUrl] })),
  });
}

function showProgress(line: LogLine): void {
  if (line.msg === "progress") console.log(`  ${line.service}: ${line.progress}`);
}

async function stopQuietly(process: ServiceProcess): Promise<void> {
  await process.stop(10_000);
}

try {
  await main(optionsFromArguments());
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  process.exitCode = 1;
}
