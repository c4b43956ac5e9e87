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
