// Walks the official JavaScript SDK along a fake cloud. The SDK holds every answer against schemas of its own;
// a refusal is printed with the place in the answer, and the walk goes on, so that one run shows them all.
//
// The environment says where the cloud is: PHALA_CLOUD_API_KEY and PHALA_CLOUD_API_PREFIX.

import assert from "node:assert/strict";
import * as sdk from "@phala/cloud";

const compose = (image) => `services:\n  web:\n    image: ${image}\n    environment:\n      - GREETING=\${GREETING}\n`;
const script = "#!/bin/bash\necho ready\n";

let failed = 0;

/** step makes one call and, where check is given, holds the answer against it. */
async function step(name, call, check) {
  try {
    const answer = await call();
    check?.(answer);
    console.log(`ok      ${name}`);
    return answer;
  } catch (error) {
    failed++;
    console.log(`REFUSED ${name}: ${explain(error)}`);
    return undefined;
  }
}

/** refused makes a call that the cloud must refuse, and wants an error of that class. */
async function refused(name, call, kind) {
  await step(name, () => call().then(() => assert.fail("no error"), (error) => error), (error) => assert.equal(error.constructor.name, kind));
}

/** explain names each place of an answer that a schema refuses. */
function explain(error) {
  const issues = error.issues ?? error.errors;
  if (!Array.isArray(issues) || issues.length === 0) return `${error.name}: ${error.message}`;
  const flat = (issue) => issue.unionErrors?.flatMap((e) => e.issues.flatMap(flat)) ?? [issue];
  return issues.flatMap(flat).map((i) => `${i.path.join(".")}: ${i.message}`).join("; ");
}

const plain = sdk.createClient();

/** settle waits until nothing is under way on a CVM, and gives its detail, which no schema has seen. */
async function settle(id, status) {
  for (let left = 200; left > 0; left--) {
    const cvm = await plain.get(`/cvms/${id}`);
    if (!cvm.in_progress && cvm.status === status) return cvm;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${id} is not ${status} after 10 seconds`);
}

/** deploy provisions and commits a CVM with one secret. */
async function deploy(client, name) {
  const app = await step("provisionCvm", () => client.provisionCvm({
    name, instance_type: "tdx.small",
    compose_file: { name, docker_compose_file: compose("nginx:1.27"), pre_launch_script: script, allowed_envs: ["GREETING"] },
    env_keys: ["GREETING"],
  }), (answer) => {
    assert.match(answer.compose_hash, /^[0-9a-f]{64}$/);
    assert.equal(typeof answer.node_id, "number");
  });
  const key = await step("getAppEnvEncryptPubKey", () => client.getAppEnvEncryptPubKey({ kms: app.kms_info.slug, app_id: app.app_id }),
    (answer) => assert.equal(answer.public_key, app.app_env_encrypt_pubkey));
  const encrypted_env = await sdk.encryptEnvVars([{ key: "GREETING", value: "hello" }], key.public_key);
  await step("commitCvmProvision", () => client.commitCvmProvision({
    app_id: app.app_id, compose_hash: app.compose_hash, encrypted_env, env_keys: ["GREETING"],
  }), (answer) => assert.equal(answer.name, name));
  return { ...app, key: key.public_key };
}

/** lists are the calls that do not need a CVM. */
async function lists(client) {
  await step("getCurrentUser", () => client.getCurrentUser());
  await step("getAvailableNodes", () => client.getAvailableNodes(), (answer) => assert.ok(answer.nodes.length > 0));
  await step("listAllInstanceTypeFamilies", () => client.listAllInstanceTypeFamilies());
  await step("listFamilyInstanceTypes", () => client.listFamilyInstanceTypes({ family: "cpu" }),
    (answer) => assert.ok(answer.items.some((type) => type.id === "tdx.small")));
  const workspaces = await step("listWorkspaces", () => client.listWorkspaces());
  const teamSlug = workspaces?.data[0].slug;
  await step("getWorkspace", () => client.getWorkspace(teamSlug));
  await step("getWorkspaceNodes", () => sdk.getWorkspaceNodes(client, { teamSlug }));
  await step("getWorkspaceQuotas", () => sdk.getWorkspaceQuotas(client, { teamSlug }));
  await step("getOsImages", () => client.getOsImages({ page_size: 5 }));
  const kms = await step("getKmsList", () => client.getKmsList(), (answer) => assert.ok(answer.items.length > 0));
  await step("getKmsInfo", () => client.getKmsInfo({ kms_id: kms.items[0].id }));
  await step("getKmsOnChainDetail", () => client.getKmsOnChainDetail({ chain: "base" }));
  await step("nextAppIds", () => client.nextAppIds({ counts: 3 }), (answer) => assert.equal(answer.app_ids.length, 3));
}

/** keys are the SSH keys of the account. */
async function keys(client) {
  const public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFFbUB8ue0CyhDRtrtmzJH1aKTrKqPfPsm3NAsQlr3k1 walk";
  const key = await step("createSshKey", () => client.createSshKey({ name: "walk", public_key }));
  await step("listSshKeys", () => client.listSshKeys(), (answer) => assert.ok(answer.some((k) => k.id === key.id)));
  await refused("importGithubProfileSshKeys of nobody", () => client.importGithubProfileSshKeys({ github_username: "octocat" }), "BusinessError");
  await step("syncGithubSshKeys", () => client.syncGithubSshKeys());
  await step("deleteSshKey", () => client.deleteSshKey({ keyId: key.id }));
}

/** read are the calls that look at one running CVM. */
async function read(client, id, app) {
  await step("getCvmInfo", () => client.getCvmInfo({ id }), (answer) => {
    assert.equal(answer.status, "running");
    if (client.config.version !== "2025-10-28") assert.equal(answer.compose_hash, app.compose_hash);
  });
  await step("getCvmInfo by app_id", () => client.getCvmInfo({ app_id: app.app_id }));
  await step("getCvmList", () => client.getCvmList({ page: 1, page_size: 10 }), (answer) => assert.ok(answer.total > 0));
  await step("getCvmState", () => client.getCvmState({ id }), (answer) => assert.equal(answer.status, "running"));
  await step("getCvmStatusBatch", async () => {
    const { vm_uuid } = await plain.get(`/cvms/${id}`);
    return sdk.getCvmStatusBatch(client, { vmUuids: [vm_uuid] });
  }, (answer) => assert.equal(Object.values(answer)[0].status, "running"));
  await step("getCvmComposeFile", () => client.getCvmComposeFile({ id }), (answer) => {
    assert.equal(answer.docker_compose_file, compose("nginx:1.27"));
  });
  await step("getComposeHash of what runs", async () => sdk.getComposeHash(await plain.get(`/cvms/${id}/compose_file`)),
    (hash) => assert.equal(hash, app.compose_hash));
  await step("getCvmDockerCompose", () => client.getCvmDockerCompose({ id }), (answer) => assert.equal(answer, compose("nginx:1.27")));
  await step("getCvmPreLaunchScript", () => client.getCvmPreLaunchScript({ id }), (answer) => assert.equal(answer, script));
  await step("getCvmStats", () => client.getCvmStats({ id }));
  await step("getCvmNetwork", () => client.getCvmNetwork({ id }));
  await step("getCvmContainersStats", () => client.getCvmContainersStats({ id }));
  await step("getCvmUserConfig", () => sdk.getCvmUserConfig(client, { id }));
  await step("getCvmAttestation", () => client.getCvmAttestation({ id }), (answer) => assert.ok(answer.is_online));
  await step("getAvailableOsImages", () => client.getAvailableOsImages({ id }));
  await refused("checkCvmIsAllowed without a contract", () => sdk.checkCvmIsAllowed(client, { cvmId: id }), "BusinessError");
  await step("refreshCvmInstanceId", () => sdk.refreshCvmInstanceId(client, { id }));
  await step("refreshCvmInstanceIds", () => sdk.refreshCvmInstanceIds(client, {}));
}

/** apps are the calls that look at one app. */
async function apps(client, appId, hash) {
  await step("getAppList", () => sdk.getAppList(client, { page_size: 10 }), (answer) => assert.ok(answer.total > 0));
  await step("getAppInfo", () => sdk.getAppInfo(client, { appId }), (answer) => assert.equal(answer.app_id, appId));
  await step("getAppCvms", () => sdk.getAppCvms(client, { appId }), (answer) => assert.ok(answer.length > 0));
  await step("getAppFilterOptions", () => sdk.getAppFilterOptions(client));
  await step("getAppDeviceAllowlist", () => sdk.getAppDeviceAllowlist(client, { appId }));
  await step("getAppAttestation", () => sdk.getAppAttestation(client, { appId }));
  await refused("checkAppIsAllowed without a contract", () => sdk.checkAppIsAllowed(client, { appId, compose_hash: hash }), "BusinessError");
  await step("checkAppCvmsIsAllowed", () => sdk.checkAppCvmsIsAllowed(client, { appId }));
  const revisions = await step("getAppRevisions", () => sdk.getAppRevisions(client, { appId }), (answer) => assert.ok(answer.total > 0));
  const revisionId = revisions?.revisions[0].revision_id;
  await step("getAppRevisionDetail", () => sdk.getAppRevisionDetail(client, { appId, revisionId }));
  await step("getAppRevisionDetail raw", () => sdk.getAppRevisionDetail(client, { appId, revisionId, rawComposeFile: true }),
    (answer) => assert.equal(typeof answer.compose_file, "string"));
}

/** power walks one CVM through its life and back. */
async function power(client, id) {
  await step("restartCvm", () => client.restartCvm({ id }));
  await settle(id, "running");
  await step("shutdownCvm", () => client.shutdownCvm({ id }));
  await settle(id, "stopped");
  await step("startCvm", () => client.startCvm({ id }));
  await settle(id, "running");
  await step("stopCvm", () => client.stopCvm({ id }));
  await settle(id, "stopped");
  await step("startCvm again", () => client.startCvm({ id }));
  const events = [];
  await step("watchCvmState", () => sdk.watchCvmState(client, { id, target: "running", maxRetries: 1 }, { onEvent: (event) => events.push(event) }),
    (answer) => {
      assert.equal(answer.status, "running");
      assert.equal(events.at(-1).type, "complete");
    });
}

/** update changes what one CVM runs. */
async function update(client, id, app) {
  const encrypted_env = await sdk.encryptEnvVars([{ key: "GREETING", value: "hello again" }], app.key);
  await step("updateCvmEnvs", () => client.updateCvmEnvs({ id, encrypted_env, env_keys: ["GREETING"] }));
  await settle(id, "running");
  await step("updateDockerCompose", () => client.updateDockerCompose({ id, docker_compose_file: compose("nginx:1.28") }));
  await settle(id, "running");
  await step("updatePreLaunchScript", () => client.updatePreLaunchScript({ id, pre_launch_script: `${script}# 2\n` }));
  await settle(id, "running");
  const document = await plain.get(`/cvms/${id}/compose_file`);
  const app_compose = { ...document, docker_compose_file: compose("nginx:1.29") };
  const next = await step("provisionCvmComposeFileUpdate", () => client.provisionCvmComposeFileUpdate({ id, app_compose }));
  await step("commitCvmComposeFileUpdate", () => client.commitCvmComposeFileUpdate({ id, compose_hash: next.compose_hash }));
  await settle(id, "running");
  await step("the new compose hash runs", () => plain.get(`/cvms/${id}`), (answer) => assert.equal(answer.compose_hash, next.compose_hash));
  await step("patchCvm", () => sdk.patchCvm(client, { id, docker_compose_file: compose("nginx:1.30"), public_logs: false }),
    (answer) => assert.equal(answer.requiresOnChainHash, false));
  await settle(id, "running");
  await step("updateCvmResources", () => client.updateCvmResources({ id, instance_type: "tdx.medium", allow_restart: true }));
  await settle(id, "running");
  await step("updateCvmVisibility", () => client.updateCvmVisibility({ id, public_sysinfo: true, public_logs: true }));
  await settle(id, "running");
  const images = await plain.get(`/cvms/${id}/available-os-images`);
  const other = images.map((image) => image.prod).find((image) => image && !image.is_current);
  await step("updateOsImage", () => client.updateOsImage({ id, os_image_name: other.name }));
  await settle(id, "running");
}

/** instances adds CVMs to an app and removes them all. */
async function instances(client, id, app) {
  const { vm_uuid } = await plain.get(`/cvms/${id}`);
  const replica = await step("replicateCvm", () => sdk.replicateCvm(client, { uuid: vm_uuid }), (answer) => assert.notEqual(answer.vm_uuid, vm_uuid));
  await settle(replica.vm_uuid, "running");
  const more = await step("createAppInstance", () => sdk.createAppInstance(client, { appId: app.app_id }));
  await settle(more.vm_uuid, "running");
  for (const uuid of [vm_uuid, replica.vm_uuid, more.vm_uuid]) {
    await step("deleteCvm", () => client.deleteCvm({ uuid }));
  }
  for (let left = 200; (await plain.get("/cvms/paginated")).total > 0; left--) {
    assert.ok(left > 0, "deleted CVMs are still listed");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** errors have the classes that the SDK knows. */
async function errors(client) {
  await refused("a CVM that does not exist", () => client.getCvmInfo({ id: "no-such-cvm" }), "ResourceError");
  await refused("a body that is wrong", () => client.post("/cvms/provision", { name: "web-1" }), "ValidationError");
  const stranger = sdk.createClient({ apiKey: "phak_stranger" });
  await refused("a key that is wrong", () => stranger.getCurrentUser(), "AuthError");
}

/** part keeps one part of the walk that cannot go on from ending all of it. */
async function part(name, walk) {
  try {
    return await walk();
  } catch (error) {
    failed++;
    console.log(`BROKE   ${name}: ${error.stack}`);
    return undefined;
  }
}

for (const version of sdk.SUPPORTED_API_VERSIONS) {
  console.log(`-- API version ${version}`);
  const client = sdk.createClient({ version });
  const name = `walk-${version}`;
  await part("lists", () => lists(client));
  await part("keys", () => keys(client));
  await part("one CVM", async () => {
    const app = await deploy(client, name);
    const { vm_uuid: id } = await settle(name, "running");
    await part("read", () => read(client, id, app));
    await part("apps", () => apps(client, app.app_id, app.compose_hash));
    await part("power", () => power(client, id));
    await part("update", () => update(client, id, app));
    await part("instances", () => instances(client, id, app));
  });
  await part("errors", () => errors(client));
}
console.log(failed === 0 ? "the SDK refuses nothing" : `${failed} refused`);
process.exit(failed === 0 ? 0 : 1);
