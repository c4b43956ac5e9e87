import { resolve } from "node:path";
import packageJson from "swagger-ui-dist/package.json" with { type: "json" };
import styles from "swagger-ui-dist/swagger-ui.css" with { type: "file" };
import script from "swagger-ui-dist/swagger-ui-bundle.js" with { type: "file" };
import { ServingError } from "../../proto/errors.ts";
import type { Documents } from "../openapi/documents.ts";
import type { BinaryExample } from "../openapi/oip/example.ts";
import type { LookupLogEntry } from "../telemetry/access-log.ts";
import type { HttpBindings } from "./http.ts";

/** Answers requests for pages about the services; undefined for every other request. */
export type DocsHandler = (request: Request, bindings: Pick<HttpBindings, "clientAddress">) => Response | undefined;

/** Files of the page have its component's version in their paths, so that they may be kept for good. */
const folder = `/docs/${packageJson.version}`;
const immutable = "public, max-age=31536000, immutable";

/** Nothing from elsewhere, and nothing that stands in the page itself. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>Athena Serving</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="${folder}/swagger-ui.css">
  </head>
  <body>
    <div id="docs"></div>
    <script src="${folder}/swagger-ui-bundle.js"></script>
    <script src="${folder}/start.js"></script>
  </body>
</html>
`;

const startScript = `const service = new URLSearchParams(location.search).get("service");
SwaggerUIBundle({
  url: service === null ? "/openapi.json" : "/openapi/" + encodeURIComponent(service) + ".json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
});
`;

/**
 * The documents at `/openapi.json` and `/openapi/{service}.json`, a request with binary data at `/openapi/{service}.bin`,
 * and a page to read them and try them out at `/docs`, or `/docs?service={service}`. The predecessor's page was below
 * `/swagger`, which leads here. `observeLookup` is told of each.
 */
export function createDocs(documents: Documents, observeLookup: (lookup: LookupLogEntry) => void): DocsHandler {
  const assets: Readonly<Record<string, () => Response>> = {
    [`${folder}/swagger-ui.css`]: () => fileResponse(styles, "text/css"),
    [`${folder}/swagger-ui-bundle.js`]: () => fileResponse(script, "text/javascript"),
    [`${folder}/start.js`]: () => textResponse(startScript, "text/javascript", { "cache-control": immutable }),
  };
  const answer = (pathname: string): Response | undefined => {
    if (pathname === "/openapi.json") return jsonResponse(documents.gateway());
    const about = aboutService(pathname, documents);
    if (about !== undefined) return about;
    if (pathname === "/docs")
      return textResponse(page, "text/html", { "content-security-policy": contentSecurityPolicy });
    if (pathname === "/docs/" || pathname === "/swagger" || pathname.startsWith("/swagger/")) return redirect("/docs");
    return assets[pathname]?.();
  };
  return ({ method, url }, { clientAddress: client }) => {
    if (method !== "GET" && method !== "HEAD") return undefined;
    const { pathname } = new URL(url);
    const response = answer(pathname);
    if (response !== undefined) observeLookup({ ...seenOf(pathname, response), durationMs: 0, client });
    return response;
  };
}

function seenOf(pathname: string, { status }: Response): Omit<LookupLogEntry, "durationMs" | "client"> {
  const [, folder] = /^(\/[a-z]+)\//.exec(pathname) ?? [];
  const path = folder === undefined ? pathname : `${folder}/*`;
  if (status !== 404) return { protocol: "http", path, outcome: "OK", status };
  const error = new ServingError("SERVICE_NOT_FOUND", "no service is called so");
  return { protocol: "http", path, outcome: error.reason, status, error };
}

function aboutService(pathname: string, documents: Documents): Response | undefined {
  const [, service, ending] = /^\/openapi\/([^/]+)\.(json|bin)$/.exec(pathname) ?? [];
  if (service === undefined) return undefined;
  return ending === "bin" ? binaryResponse(documents.binary(service)) : documentResponse(documents.service(service));
}

function documentResponse(document: string | undefined): Response {
  return document === undefined ? new Response("no service is called so\n", { status: 404 }) : jsonResponse(document);
}

function binaryResponse(example: BinaryExample | undefined): Response {
  if (example === undefined) return new Response("no such example\n", { status: 404 });
  const { body, headerLength } = example;
  const type = { "content-type": "application/octet-stream", "cache-control": "no-cache", ...sniffing };
  return new Response(body, { headers: { ...type, "inference-header-content-length": String(headerLength) } });
}

function jsonResponse(document: string): Response {
  return textResponse(document, "application/json", { "cache-control": "no-cache" });
}

function textResponse(text: string, type: string, headers: Readonly<Record<string, string>>): Response {
  return new Response(text, { headers: { "content-type": `${type}; charset=utf-8`, ...sniffing, ...headers } });
}

function fileResponse(path: string, type: string): Response {
  // A bundle has the path from its own folder.
  const file = Bun.file(resolve(import.meta.dir, path));
  return new Response(file, { headers: { "content-type": type, ...sniffing, "cache-control": immutable } });
}

const sniffing = { "x-content-type-options": "nosniff" };

function redirect(location: string): Response {
  return new Response(null, { status: 302, headers: { location } });
}
