import { hostOf } from "./http.ts";

/** The origins of web pages, as browsers name them in the header Origin. */
export interface Origins {
  /** Whether every origin is among them. */
  readonly isEvery: boolean;
  has(origin: string): boolean;
}

/** Builds them from exact origins, from patterns such as `https://*.example.com`, which mean every subdomain, and from `*`. */
export function createOrigins(patterns: readonly string[]): Origins {
  const isEvery = patterns.includes("*");
  const exact = new Set(patterns.filter((pattern) => !pattern.includes("*")));
  const subdomains = patterns.flatMap((pattern) => {
    const [before, after] = pattern.split("*");
    return before && after ? [{ before, after }] : [];
  });
  return {
    isEvery,
    has: (origin) =>
      isEvery ||
      exact.has(origin) ||
      subdomains.some(
        ({ before, after }) =>
          origin.startsWith(before) &&
          origin.endsWith(after) &&
          /^[a-z0-9_.-]+$/.test(origin.slice(before.length, -after.length)),
      ),
  };
}

/** Whether a request's page came from the host that the request is for, as its browser says or as the two names do. */
export function isOwnOrigin(origin: string, headers: Headers): boolean {
  // No page can write this header. Browsers send it where TLS or loopback keeps others from writing it too.
  if (headers.get("sec-fetch-site") === "same-origin") return true;
  if (!URL.canParse(origin)) return false;
  const { protocol, host } = new URL(origin);
  // file: has none, nor has a request over HTTP/1.0.
  if (host === "") return false;
  // Written as the origin is: without the port that its scheme has anyway.
  const own = `${protocol}//${hostOf(headers)}`;
  return URL.canParse(own) && new URL(own).host === host;
}
