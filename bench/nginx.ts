import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** An nginx of our own that passes every byte through to one address. */
export interface Nginx extends AsyncDisposable {
  readonly url: string;
}

/**
 * Starts nginx with one worker, keep-alive on both sides and no log: as little as a reverse proxy can do.
 *
 * @throws Error when nginx is not installed or does not start.
 */
export async function startNginx(upstreamUrl: string): Promise<Nginx> {
  if (Bun.which("nginx") === null) throw new Error("nginx is not installed (Debian: apt-get install nginx-light)");
  const folder = await mkdtemp(join(tmpdir(), "athena-nginx-"));
  const port = await freePort();
  const config = join(folder, "nginx.conf");
  await writeFile(config, configFrom(folder, port, new URL(upstreamUrl).host));
  const child = Bun.spawn(["nginx", "-p", folder, "-c", config, "-e", join(folder, "error.log")], {
    stdout: "inherit",
    stderr: "inherit",
  });
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function configFrom(folder: string, port: number, upstream: string): string {
  return `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_buffer_size 1m;
  client_max_body_size 64m;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 10000000;
  upstream loader { server ${upstream}; keepalive 256; keepalive_requests 10000000; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://loader; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`;
}

/** A port that was free a moment ago: nginx cannot be asked which one it took. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}
