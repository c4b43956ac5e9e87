import { type Reason, ServingError } from "../../proto/errors.ts";
import type { App } from "./app-rights.ts";
import type { Credentials, Identity } from "./credentials.ts";
import { isRefusal, type Kind, type LimitName, type LimitStore, type Refusal } from "./limit-store.ts";
import { assertDigest, type SignedRequest } from "./signature.ts";

/** Says who sends a request, before anything of it but its headers is read. Throws ServingError. */
export type Admission = (request: SignedRequest) => Caller | Promise<Caller>;

/** Who sends a request: the first of the three steps through admission. */
export interface Caller {
  /** The app's id; "" while admission is off. */
  readonly app: string;
  /** Whether the app may call a service, and so may know of it. */
  mayCall(service: string): boolean;
  /**
   * The second step: may the app call this service, and has it a share left? Still from the headers alone.
   *
   * @throws ServingError PERMISSION_DENIED, RATE_LIMITED, ADMISSION_UNAVAILABLE.
   */
  admit(request: AdmissionRequest): Ticket | Promise<Ticket>;
  /**
   * In place of the other steps, for what is no call: may the app load and unload this service?
   *
   * @throws ServingError PERMISSION_DENIED.
   */
  assertMayControl(service: string): void;
}

/** What an app wants. */
export interface AdmissionRequest {
  readonly service: string;
  readonly kind: Kind;
}

/** A share that was granted. It has to be disposed of when the call or session is over, however it ends. */
export interface Ticket extends Disposable {
  /**
   * The third step, when the body is there: "" where a request has none, as the upgrade of a WebSocket. What is longer
   * than was declared is charged.
   *
   * @throws ServingError UNAUTHENTICATED for a body that is not the signed one, RATE_LIMITED.
   */
  accept(body: string | Uint8Array): Admitted | Promise<Admitted>;
}

declare const proof: unique symbol;

/** The proof that a request passed all three steps: no service can be called without one, and nothing else makes one. */
export interface Admitted {
  readonly [proof]: true;
  /** The highest priority that the request may have. A wish for a higher one is no mistake: it gets this one. */
  readonly maxPriority: number;
  /**
   * A request's header with its app's id in it.
   *
   * @throws ServingError APP_ID_MISMATCH when it names another app.
   */
  nameApp(header: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>;
  /**
   * Charges the bytes of one more chunk of a session.
   *
   * @throws ServingError RATE_LIMITED.
   */
  spend(bytes: number): void | Promise<void>;
}

/** What admission decided on a request: "admitted", or what was in the way. */
export type Decision = "admitted" | "unauthenticated" | "denied" | "app-mismatch" | LimitName | "unavailable";

/** What admission is made from. */
export interface AdmissionOptions {
  /** Those of the configuration that holds now. */
  readonly credentials: () => Pick<Credentials, "identify" | "appOf">;
  readonly limits: LimitStore;
  readonly metrics: AdmissionObserver;
  /** No body is larger: one that declares more is refused later, and must not be charged for all of it. */
  readonly maxBodyBytes: number;
  /** The highest priority that any app's request gets. */
  readonly maxPriority: number;
}

/** Told what admission does; apps are those of the configuration, so that they may be labels. */
export interface AdmissionObserver {
  /** Once for each request, when it is refused or over; `app` is "" where nobody knows whose it was. */
  decided(app: string, decision: Decision): void;
  opened(app: string, kind: Kind): void;
  closed(app: string, kind: Kind): void;
}

/** Builds the stage that lets apps in. */
export function createAdmission(options: AdmissionOptions): Admission {
  return async (request) => {
    try {
      const identity = await options.credentials().identify(request);
      const byteCount = Math.min(declaredBytes(request), options.maxBodyBytes);
      const { id, mayCall } = identity.app;
      return {
        app: id,
        mayCall,
        admit: (wanted) => admit(identity, { ...wanted, byteCount }, options),
        assertMayControl(service) {
          if (identity.app.mayControl(service)) return;
          options.metrics.decided(identity.app.id, "denied");
          throw new ServingError("PERMISSION_DENIED", `the app may not load and unload service '${service}'`);
        },
      };
    } catch (error) {
      options.metrics.decided("", decisionFrom(error));
      throw error;
    }
  };
}

function declaredBytes(request: SignedRequest): number {
  const declared = request.header("content-length") ?? "";
  return /^\d{1,15}$/.test(declared) ? Number(declared) : 0;
}

/** What is wanted, and how many bytes of body the request declares; 0: none, or it does not tell. */
type Wanted = AdmissionRequest & { readonly byteCount: number };

async function admit(identity: Identity, wanted: Wanted, options: AdmissionOptions): Promise<Ticket> {
  try {
    // A WebSocket may have been open for hours: its next session is a new request, for which what holds now counts.
    const app = options.credentials().appOf(identity);
    const share = await takeShare(app, wanted, options.limits);
    return createTicket({ app, digest: identity.digest }, wanted, share, options);
  } catch (error) {
    options.metrics.decided(identity.app.id, decisionFrom(error));
    throw error;
  }
}

function createTicket(
  { app, digest }: Pick<Identity, "app" | "digest">,
  { byteCount, kind }: Wanted,
  share: Disposable,
  { limits, metrics, maxPriority }: AdmissionOptions,
): Ticket {
  let decision: Decision = "admitted";
  let isOver = false;
  const note = (error: unknown): never => {
    decision = decisionFrom(error);
    throw error;
  };
  const admitted = prove({
    maxPriority: Math.min(app.maxPriority, maxPriority),
    nameApp: (header) => withApp(app.id, header, note),
    spend: (bytes) => spendBytes(app, bytes, limits).catch(note),
  });
  const accept = async (body: string | Uint8Array): Promise<Admitted> => {
    if (digest !== undefined) assertDigest(digest, body);
    if (app.bytes !== undefined) await spendBytes(app, Buffer.byteLength(body) - byteCount, limits);
    return admitted;
  };
  metrics.opened(app.id, kind);
  return {
    accept: (body) => accept(body).catch(note),
    [Symbol.dispose]() {
      if (isOver) return;
      isOver = true;
      share[Symbol.dispose]();
      metrics.closed(app.id, kind);
      metrics.decided(app.id, decision);
    },
  };
}

/** The only place where a proof comes from. */
function prove(admitted: Omit<Admitted, typeof proof>): Admitted {
  return admitted as Admitted;
}

/**
 * Also for what only tells of a service, whether it is there or not.
 *
 * @throws ServingError PERMISSION_DENIED.
 */
export function assertMayCall({ mayCall }: Pick<Caller, "mayCall">, service: string): void {
  if (mayCall(service)) return;
  throw new ServingError("PERMISSION_DENIED", `the app may not call service '${service.slice(0, 64)}'`);
}

async function takeShare(app: App, wanted: Wanted, limits: LimitStore): Promise<Disposable> {
  const { service, kind, byteCount } = wanted;
  assertMayCall(app, service);
  const { requests, bytes } = app;
  const maxOpen = kind === "call" ? app.maxCalls : app.maxSessions;
  const verdict = await limits.take({ app: app.id, kind, requests, bytes, byteCount, maxOpen });
  if (isRefusal(verdict)) throw new LimitError(verdict);
  return verdict;
}

async function spendBytes(app: App, bytes: number, limits: LimitStore): Promise<void> {
  if (app.bytes === undefined || bytes <= 0) return;
  const waitMs = await limits.spend(app.id, app.bytes, bytes);
  if (waitMs > 0) throw new LimitError({ limit: "bytes", waitMs });
}

function withApp(
  id: string,
  header: Readonly<Record<string, unknown>>,
  refuse: (error: ServingError) => never,
): Readonly<Record<string, unknown>> {
  for (const name of ["app_id", "appid"]) {
    const named = header[name] ?? "";
    if (named !== "" && String(named) !== id) {
      refuse(
        new ServingError(
          "APP_ID_MISMATCH",
          `'$.header.${name}' is not the app of the credential: app_id and api_key does not match`,
        ),
      );
    }
  }
  return { ...header, app_id: id };
}

const limitTexts: Readonly<Record<LimitName, string>> = {
  requests: "the app sends more requests a second than it may",
  bytes: "the app sends more bytes a second than it may",
  calls: "the app has as many calls under way as it may",
  sessions: "the app has as many sessions open as it may",
};

/** An error that remembers for the metrics which limit it was. */
class LimitError extends ServingError {
  readonly limit: LimitName;

  constructor({ limit, waitMs }: Refusal) {
    super("RATE_LIMITED", limitTexts[limit], waitMs > 0 ? { retryAfterMs: waitMs } : {});
    this.limit = limit;
  }
}

const decisions: Partial<Record<Reason, Decision>> = {
  UNAUTHENTICATED: "unauthenticated",
  PERMISSION_DENIED: "denied",
  APP_ID_MISMATCH: "app-mismatch",
};

function decisionFrom(error: unknown): Decision {
  if (!(error instanceof ServingError)) return "unavailable";
  if (error instanceof LimitError) return error.limit;
  return decisions[error.reason] ?? "unavailable";
}

/** The caller while no admission is configured: it may do everything, with a priority of at most this. */
export function createOpenCaller(maxPriority: number): Caller {
  const admitted = prove({ maxPriority, nameApp: (header) => header, spend() {} });
  const ticket: Ticket = { accept: () => admitted, [Symbol.dispose]() {} };
  return { app: "", mayCall: () => true, admit: () => ticket, assertMayControl() {} };
}

/** Admission while none is configured: everybody may do everything, and no request costs anything here. */
export function createOpenAdmission(maxPriority: number): Admission {
  const caller = createOpenCaller(maxPriority);
  return () => caller;
}
