import type { Deployment } from "kubernetes-types/apps/v1";
import type { Container, Probe, ResourceRequirements, Service } from "kubernetes-types/core/v1";
import type { ServiceManifest } from "../../loader/manifest/manifest.ts";

/** How a service is deployed: what somebody who deploys it may want to change, and all that a manifest is made from. */
export interface DeploymentValues {
  /** The service's id, and its name in Kubernetes. */
  readonly service: string;
  readonly name: string;
  readonly version: string;
  readonly image: string;
  readonly replicas: number;
  readonly ports: { readonly infer: number; readonly admin: number };
  /** How long requests in flight may take when a pod ends, and then the pod itself. */
  readonly drainTimeoutMs: number;
  readonly terminationGracePeriodSeconds: number;
  readonly resources: ResourceRequirements;
  readonly readinessProbe: Probe;
  readonly livenessProbe: Probe;
}

/** The loader's own, in its image. */
const userId = 65532;
const ports = { infer: 5090, admin: 5091 };
const drainTimeoutMs = 30_000;
/** Beside the requests in flight, engines end: they have some seconds for it. */
const endSeconds = 15;

/** The values that a service starts with. */
export function deploymentValuesFrom({ id, version }: ServiceManifest, image: string): DeploymentValues {
  return {
    service: id,
    name: kubernetesName(id),
    version,
    image,
    replicas: 1,
    ports,
    drainTimeoutMs,
    terminationGracePeriodSeconds: drainTimeoutMs / 1000 + endSeconds,
    resources: { requests: { cpu: "1", memory: "1Gi" }, limits: { memory: "2Gi" } },
    // Not ready while a model loads, while it drains, and while its engine cannot take calls.
    readinessProbe: { httpGet: { path: "/readyz", port: "admin" }, periodSeconds: 5, timeoutSeconds: 3 },
    livenessProbe: {
      httpGet: { path: "/healthz", port: "admin" },
      periodSeconds: 10,
      timeoutSeconds: 3,
      failureThreshold: 6,
    },
  };
}

/** The configuration of the loader in the image. */
export function imageLoaderConfig(values: DeploymentValues, folder: string) {
  return {
    listen: { host: "0.0.0.0", port: values.ports.infer },
    // Probes and metrics come from outside of the pod.
    admin: { host: "0.0.0.0", port: values.ports.admin },
    services: [folder],
    drainTimeoutMs: values.drainTimeoutMs,
  };
}

/** What Kubernetes is to run. */
export function kubernetesFrom(values: DeploymentValues): readonly [Deployment, Service] {
  const { name, version, replicas, terminationGracePeriodSeconds } = values;
  const selector = { "app.kubernetes.io/name": name };
  const labels = {
    ...selector,
    "app.kubernetes.io/version": labelFrom(version),
    "app.kubernetes.io/part-of": "athena",
  };
  const deployment: Deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, labels },
    spec: {
      replicas,
      selector: { matchLabels: selector },
      // A new pod is ready before an old one ends: no request is refused by an update.
      strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds,
          automountServiceAccountToken: false,
          securityContext: { runAsNonRoot: true, runAsUser: userId, runAsGroup: userId },
          containers: [loaderContainer(values)],
        },
      },
    },
  };
  const service: Service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, labels },
    spec: { selector, ports: [{ name: "infer", port: values.ports.infer, targetPort: "infer" }] },
  };
  return [deployment, service];
}

function loaderContainer({ image, ports, resources, readinessProbe, livenessProbe }: DeploymentValues): Container {
  return {
    name: "loader",
    image,
    ports: [
      { name: "infer", containerPort: ports.infer },
      { name: "admin", containerPort: ports.admin },
    ],
    readinessProbe,
    livenessProbe,
    resources,
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
  };
}

/** Text as a label's value: letters, digits, '-', '_' and '.', at most 63, the ends letters or digits. */
function labelFrom(text: string): string {
  return text
    .replaceAll(/[^A-Za-z0-9_.-]/g, "-")
    .slice(0, 63)
    .replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "");
}

/** A service's id as a name in Kubernetes: lower-case letters, digits and '-', a letter first, at most 63. */
export function kubernetesName(id: string): string {
  const plain = id.toLowerCase().replaceAll(/[^a-z0-9-]/g, "-");
  const named = /^[a-z]/.test(plain) ? plain : `service-${plain}`;
  return named.slice(0, 63).replace(/-+$/, "");
}
