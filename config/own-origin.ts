/**
 * Whether a request's page came from the host that the request is for, as its browser says or as the two names do. `origin` is the
 * header Origin, `host` what the page had to ask for, perhaps with its port.
 */
export function isOwnOrigin(origin: string, host: string, headers: Headers): boolean {
  // No page can write this header. Browsers send it where TLS or loopback keeps others from writing it too.
  if (headers.get("sec-fetch-site") === "same-origin") return true;
  if (!URL.canParse(origin)) return false;
  const { protocol, host: hostOfPage } = new URL(origin);
  // file: has none, nor has a request over HTTP/1.0.
  if (hostOfPage === "") return false;
  // Written as the origin is: without the port that its scheme has anyway.
  const own = `${protocol}//${host}`;
  return URL.canParse(own) && new URL(own).host === hostOfPage;
}

/**
 * Whether a request to an admin address comes from a page of another host. Such a page needs no preflight to send a POST without
 * a body, and the operator's browser reaches addresses that its maker does not.
 */
export function isForeignPage(headers: Headers): boolean {
  const origin = headers.get("origin");
  return origin !== null && !isOwnOrigin(origin, headers.get("host") ?? "", headers);
}
