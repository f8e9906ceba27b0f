// Walks the official command line along a fake cloud: node walk-cli.mjs PROGRAM DIRECTORY
// The directory is for files of the app. Each command must end as expected and print what is looked for.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [program, directory] = process.argv.slice(2);
const app = join(directory, "app");
mkdirSync(app, { recursive: true });
writeFileSync(join(app, "docker-compose.yml"), "services:\n  web:\n    image: nginx:1.27\n    environment:\n      - GREETING=${GREETING}\n");
writeFileSync(join(app, "next.yml"), "services:\n  web:\n    image: nginx:1.28\n    environment:\n      - GREETING=${GREETING}\n");
writeFileSync(join(app, ".env"), "GREETING=hello\n");
writeFileSync(join(app, "key.pub"), "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFFbUB8ue0CyhDRtrtmzJH1aKTrKqPfPsm3NAsQlr3k1 walk\n");

let failed = 0;

/** phala runs one command; wanted is a pattern of what it prints. */
function phala(wanted, ...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: app, encoding: "utf8", timeout: 60_000, stdio: ["ignore", "pipe", "pipe"],
  });
  const fits = status === 0 && wanted.test(stdout + stderr);
  if (!fits) failed++;
  console.log(`${fits ? "ok     " : "REFUSED"} phala ${args.join(" ")}`);
  if (!fits) console.log(`  exit ${status}, wanted ${wanted}:\n${(stdout + stderr).replace(/^/gm, "  | ")}`);
  return stdout;
}

/** json is the JSON that a command prints. */
function json(...args) {
  const text = phala(/"/, ...args, "--json");
  try {
    return JSON.parse(text);
  } catch (error) {
    failed++;
    console.log(`REFUSED the answer is no JSON: ${error.message}\n${text}`);
    return {};
  }
}

/** until asks for a CVM until its answer is as wanted. */
async function until(id, what, wanted) {
  const headers = { "X-API-Key": process.env.PHALA_CLOUD_API_KEY, "X-Phala-Version": "2026-01-21" };
  for (let left = 100; left > 0; left--) {
    const answer = await fetch(`${process.env.PHALA_CLOUD_API_PREFIX}/cvms/${id}`, { headers });
    const cvm = await answer.json();
    if (wanted(answer, cvm)) return cvm;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  failed++;
  console.log(`REFUSED ${id} is not ${what}`);
  return {};
}

/** settle waits until nothing is under way on a CVM. */
const settle = (id, status) => until(id, status, (_, cvm) => !cvm.in_progress && cvm.status === status);

/** gone waits until a CVM is deleted. */
const gone = (id) => until(id, "gone", (answer) => answer.status === 404);

phala(/Credentials saved/, "login", process.env.PHALA_CLOUD_API_KEY);
phala(/tester/, "whoami");
phala(/Logged in as: tester/, "status");
phala(/test1 .*\n.*test2 /, "nodes", "list");
phala(/Support Onchain KMS/, "cvms", "list-nodes");
phala(/tdx\.small/, "instance-types");
phala(/dstack-0\.5/, "os-images");
phala(/No on-chain KMS/, "kms", "list");
phala(/base/, "kms", "base");
phala(/tester/, "api", "/auth/me");

phala(/Added SSH key/, "ssh-keys", "add", "--name", "walk", "--key-file", "key.pub");
phala(/walk +ssh-ed25519/, "ssh-keys", "list");

phala(/CVM created successfully/, "deploy", "-n", "walk-cli", "-c", "docker-compose.yml", "-e", ".env", "-t", "tdx.small", "--wait");
const { vm_uuid, app_id } = await settle("walk-cli", "running");
phala(/walk-cli +running/, "cvms", "list");
phala(/walk-cli/, "apps");
phala(/running/, "cvms", "get", "walk-cli");
json("cvms", "get", "walk-cli");
phala(/nginx:1\.27/, "ps", "walk-cli");
phala(/has started/, "logs", "dstack-web-1", "--cvm-id", "walk-cli");
phala(/walk-cli is running/, "logs", "--serial", "--cvm-id", "walk-cli");
phala(/is up/, "logs", "--cvm-stdout", "--cvm-id", "walk-cli");
phala(/SSH Keys:/, "runtime-config", "walk-cli");
phala(/Online/, "cvms", "attestation", "walk-cli");
phala(/does not use on-chain KMS/, "cvms", "device-allowlist", "walk-cli");

const sealed = phala(/^[0-9a-f]+\s*$/, "envs", "encrypt", "walk-cli", "-e", "GREETING=sealed").trim();
phala(/initiated/, "envs", "update", "walk-cli", "--encrypted-env", sealed);
await settle("walk-cli", "running");
phala(/initiated/, "envs", "update", "walk-cli", "-e", "GREETING=again");
await settle("walk-cli", "running");
phala(/being stopped/, "cvms", "stop", "walk-cli");
await settle("walk-cli", "stopped");
phala(/being started/, "cvms", "start", "walk-cli");
await settle("walk-cli", "running");
phala(/being restarted/, "cvms", "restart", "walk-cli");
await settle("walk-cli", "running");
phala(/being resized/, "cvms", "resize", "walk-cli", "--vcpu", "2", "-m", "4096", "-d", "60", "-r", "true", "-y");
await settle("walk-cli", "running");
phala(/updated successfully/, "deploy", "--cvm-id", "walk-cli", "-c", "next.yml", "-e", ".env", "--wait");
await settle("walk-cli", "running");
phala(/nginx:1\.28/, "ps", "walk-cli");

phala(/CVM UUID/, "cvms", "replicate", vm_uuid);
phala(/test2/, "instances", "add", "--app-id", app_id, "--node-id", "12");
phala(/(.*test. .*walk-cli.*\n){3}/, "instances", "ls", "--app-id", app_id);
const { success, ...instances } = json("instances", "ls", "--app-id", app_id);
const others = Object.values(instances).map((cvm) => cvm.vm_uuid).filter((uuid) => uuid !== vm_uuid);
for (const uuid of others) await settle(uuid, "running");
phala(/deleted successfully[^]*deleted successfully/, "instances", "rm", ...others, "-y");
phala(/deleted successfully/, "cvms", "delete", vm_uuid, "--force");
for (const uuid of [vm_uuid, ...others]) await gone(uuid);
phala(/No CVMs found/, "cvms", "list");

console.log(failed === 0 ? "the command line works unchanged" : `${failed} refused`);
process.exit(failed === 0 ? 0 : 1);
