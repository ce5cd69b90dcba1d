//! What is wrong with a delivery, what the user sees of it, and that nothing gets through meanwhile.

use std::time::Duration;

use sluice_integration::{Error, Reply, Request, Result, module, wait_until};
use sluice_mesh_test::{Mesh, Plan, Plugin, REGISTRY, Service, WORLD};

use crate::asserts::{CLIENT_READS, SOON, client_may_only_read, read, wait_for_status, write};
use crate::delivery::{VERSION, plugin};

/// A line that will be logged: what was there before does not count.
pub(crate) struct Expected<'mesh> {
    mesh: &'mesh Mesh,
    who: &'static str,
    text: &'static str,
    before: usize,
}

/// That a workload's agent or Envoy, or istiod, will log this from now on.
pub(crate) fn expect_line<'mesh>(
    mesh: &'mesh Mesh,
    who: &'static str,
    text: &'static str,
) -> Expected<'mesh> {
    let mut expected = Expected { mesh, who, text, before: 0 };
    expected.before = expected.count();
    expected
}

impl Expected<'_> {
    fn count(&self) -> usize {
        let log = match self.who {
            "istiod" => self.mesh.istiod().log(),
            workload => self.mesh.workload(workload).log(),
        };
        log.matches(self.text).count()
    }

    pub(crate) fn wait(&self) -> Result<()> {
        wait_until(&format!("{} to log {:?}", self.who, self.text), SOON, || self.count() > self.before)
    }
}

/// The agent has put its own filter in our place, which denies everything.
pub(crate) fn the_agent_denies_all(mesh: &Mesh) -> Result<()> {
    for answer in [read(mesh)?, write(mesh)?] {
        assert_eq!((answer.status, answer.text().as_str()), (403, "RBAC: access denied"));
    }
    Ok(())
}

/// Nothing is there that could decide: Envoy answers, and nothing gets through.
fn envoy_answers_500(mesh: &Mesh) -> Result<()> {
    mesh.service("inventory").forget();
    assert_eq!((read(mesh)?.status, write(mesh)?.status), (500, 500));
    assert_eq!(mesh.service("inventory").received().len(), 0);
    Ok(())
}

/// A server that gives these bytes for any path.
fn serving(mesh: &Mesh, bytes: Vec<u8>) -> Result<Service> {
    let server = Service::start("modules", mesh.world(), 7000)?;
    server.answer(move |_| {
        Some(Reply { status: 200, headers: Vec::new(), body: bytes.clone(), after: Duration::ZERO })
    });
    Ok(server)
}

pub(crate) fn a_registry_that_is_away(mesh: &Mesh) -> Result<()> {
    // An image that no agent has yet.
    let away = plugin()?.url(&format!("oci://{REGISTRY}/sluice/sluice-headers:{VERSION}"));
    mesh.registry().push_images()?;
    mesh.registry().stop();
    let why = expect_line(mesh, "inventory", "could not fetch manifest");
    let what = expect_line(mesh, "inventory", "applying deny RBAC filter");
    let _applied = mesh.install(&away)?;
    why.wait()?;
    what.wait()?;
    the_agent_denies_all(mesh)?;

    // With FAIL_OPEN the other way round: nothing decides, and everything gets through.
    let what = expect_line(mesh, "inventory", "applying allow RBAC filter");
    let _open = mesh.apply(&away.clone().with("failStrategy", "FAIL_OPEN").document())?;
    what.wait()?;
    wait_for_status(mesh, "everything to get through", 200, || write(mesh))?;

    // The agent does not try again by itself; any change of the plugin makes it.
    mesh.api().apply(&away.document())?;
    wait_for_status(mesh, "nothing to get through", 403, || read(mesh))?;
    mesh.registry().restart(mesh.world())?;
    // On a slow machine this shows less, and never something wrong.
    std::thread::sleep(Duration::from_secs(3));
    the_agent_denies_all(mesh)?;
    mesh.api().kubectl(&["annotate", "wasmplugin", "sluice", "-n", "shop", "tried-again=yes"])?;
    wait_for_status(mesh, "the module to be fetched", 200, || read(mesh))?;
    client_may_only_read(mesh)
}

/// A workload that starts while its module is still on its way: the proxy takes no traffic, and what comes first is decided. The
/// module stays on its way until somebody was turned away.
pub(crate) fn a_workload_that_starts_before_its_module(mesh: &Mesh) -> Result<()> {
    let bytes = std::fs::read(module()?).map_err(|e| e.to_string())?;
    let server = serving(mesh, bytes)?;
    server.hold();
    let plugin = Plugin::new("sluice", CLIENT_READS)?.on("late").server();
    let _applied = mesh.apply(&plugin.url(&format!("http://{WORLD}:7000/late.wasm")).document())?;
    let late = mesh.add(Plan::sidecar("late", "late", "v1"))?;

    let ask = |request: &Request| late.call("client", request).map(|answer| answer.status);
    let mut before = Vec::new();
    wait_until("a request to be turned away while the module is asked for", SOON, || {
        let asked_for = !server.received().is_empty();
        before.extend(ask(&Request::post("/", "{}")));
        asked_for && before.last() == Some(&503)
    })?;
    server.release();
    wait_until("the first request to get through", SOON, || {
        before.extend(ask(&Request::post("/", "{}")));
        ask(&Request::get("/")).is_ok_and(|status| status == 200)
    })?;
    assert!(!before.contains(&200), "what nobody may do, from the beginning: {before:?}");
    assert_eq!(ask(&Request::post("/", "{}"))?, 403);
    let arrived = late.service().received();
    assert!(arrived.iter().all(|request| request.method == "GET"), "{} arrived", arrived.len());
    Ok(())
}

pub(crate) fn a_digest_that_the_registry_has_not(mesh: &Mesh) -> Result<()> {
    mesh.registry().push_images()?;
    let digest = format!("sha256:{}", "0".repeat(64));
    let why = expect_line(mesh, "inventory", "MANIFEST_UNKNOWN");
    let _applied = mesh.install(&plugin()?.url(&format!("oci://{REGISTRY}/sluice/sluice@{digest}")))?;
    why.wait()?;
    the_agent_denies_all(mesh)
}

pub(crate) fn a_module_of_another_sha256(mesh: &Mesh) -> Result<()> {
    let _server = serving(mesh, std::fs::read(module()?).map_err(|e| e.to_string())?)?;
    let url = format!("http://{WORLD}:7000/other.wasm");
    let why = expect_line(mesh, "inventory", "which does not match: 0000");
    let _applied = mesh.install(&plugin()?.url(&url).with("sha256", "0".repeat(64)))?;
    why.wait()?;
    the_agent_denies_all(mesh)
}

pub(crate) fn something_that_is_no_module(mesh: &Mesh) -> Result<()> {
    let _server = serving(mesh, b"<html>Not Found</html>".to_vec())?;
    let why = expect_line(mesh, "inventory", "page.wasm is invalid");
    let _applied = mesh.install(&plugin()?.url(&format!("http://{WORLD}:7000/page.wasm")))?;
    why.wait()?;
    the_agent_denies_all(mesh)
}

/// A module that begins as one: the agent passes it on, Envoy refuses it, whatever the strategy.
pub(crate) fn a_module_that_is_cut_off(mesh: &Mesh) -> Result<()> {
    let mut bytes = std::fs::read(module()?).map_err(|e| e.to_string())?;
    bytes.truncate(100_000);
    let _server = serving(mesh, bytes)?;
    for strategy in ["FAIL_CLOSE", "FAIL_RELOAD", "FAIL_OPEN"] {
        let cut = plugin()?.url(&format!("http://{WORLD}:7000/cut.wasm")).with("failStrategy", strategy);
        let why = expect_line(mesh, "inventory", "Failed to parse corrupted Wasm module");
        let told = expect_line(mesh, "istiod", "ADS:ECDS: ACK ERROR inventory.shop");
        let applied = mesh.install(&cut)?;
        why.wait()?;
        told.wait()?;
        envoy_answers_500(mesh)?;
        // Before the next: made anew while its predecessor's connections drain, the *listener* is refused, and the one before,
        // without any plugin, goes on serving.
        applied.remove()?;
    }
    Ok(())
}

/// A new version that can't be fetched takes the place of the one that served: the agent's filter denies everything, though the
/// old module is still there. With a policy it is the other way round, see below.
pub(crate) fn an_upgrade_that_cannot_be_fetched(mesh: &Mesh) -> Result<()> {
    mesh.registry().push_images()?;
    let image = |tag: &str| Ok::<_, Error>(plugin()?.url(&format!("oci://{REGISTRY}/sluice/sluice:{tag}")));
    let _applied = mesh.install(&image(VERSION)?)?;
    client_may_only_read(mesh)?;
    mesh.api().apply(&image("no-such-tag")?.document())?;
    wait_for_status(mesh, "the agent to deny", 403, || read(mesh))?;
    the_agent_denies_all(mesh)?;
    // Back to what it has: at once, and without the registry.
    mesh.registry().stop();
    mesh.api().apply(&image(VERSION)?.document())?;
    wait_for_status(mesh, "the version before", 200, || read(mesh))?;
    client_may_only_read(mesh)?;
    mesh.registry().restart(mesh.world())
}

/// A document with a mistake, when there is none before it: as above, and the log says where.
pub(crate) fn a_first_policy_with_a_mistake(mesh: &Mesh) -> Result<()> {
    let mistaken = Plugin::new("sluice", "{version: 1, authz: {defalt: deny}}")?.on("inventory").server();
    for strategy in ["FAIL_OPEN", "FAIL_RELOAD", "FAIL_CLOSE"] {
        let why =
            expect_line(mesh, "inventory", "configuration refused: authz.defalt: unknown field `defalt`");
        let applied = mesh.install(&mistaken.clone().with("failStrategy", strategy))?;
        why.wait()?;
        envoy_answers_500(mesh)?;
        // Corrected, it serves at once.
        mesh.api().apply(&plugin()?.document())?;
        wait_for_status(mesh, "the corrected policy", 200, || read(mesh))?;
        client_may_only_read(mesh)?;
        applied.remove()?;
    }
    Ok(())
}

/// A document with a mistake as an update: the one before goes on deciding.
pub(crate) fn an_update_with_a_mistake(mesh: &Mesh) -> Result<()> {
    let _applied = mesh.install(&plugin()?)?;
    client_may_only_read(mesh)?;
    let mistaken = CLIENT_READS.replace("methods: [GET]", "metods: [POST]");
    let why = expect_line(
        mesh,
        "inventory",
        "configuration refused: authz.rules[0].match.metods: unknown field `metods`",
    );
    let told = expect_line(mesh, "istiod", "ADS:ECDS: ACK ERROR inventory.shop");
    mesh.api()
        .apply(&Plugin::new("sluice", &mistaken)?.on("inventory").server().phase("AUTHN").document())?;
    why.wait()?;
    told.wait()?;
    client_may_only_read(mesh)?;
    // The API server took it, and says nothing.
    let stored = mesh.api().kubectl(&[
        "get",
        "wasmplugin",
        "sluice",
        "-n",
        "shop",
        "-o",
        "jsonpath={.status}{.spec}",
    ])?;
    assert!(stored.contains("metods") && !stored.contains("unknown field"), "{stored}");
    Ok(())
}

/// A document that could be read and would not do what it says, as an update: an authentication rule that an earlier, wider one leaves
/// no request. As with a mistake, the one before goes on deciding.
pub(crate) fn an_update_with_a_rule_that_never_matters(mesh: &Mesh) -> Result<()> {
    let _applied = mesh.install(&plugin()?)?;
    client_may_only_read(mesh)?;
    let shadowed = format!(
        r#"{CLIENT_READS}
authn:
  providers:
    - {{ name: caller, forwarded: {{ peers: ["spiffe://cluster.local/ns/shop/sa/client"], principal: x-user }} }}
  rules:
    - {{ name: all, match: {{ paths: ["/api/**"] }}, require: {{ optional: [caller] }} }}
    - {{ name: webhooks, match: {{ paths: ["/api/webhooks/**"] }}, require: {{ any: [caller] }} }}
"#
    );
    let why = expect_line(mesh, "inventory", "configuration refused: authn.rules[1]");
    let told = expect_line(mesh, "istiod", "ADS:ECDS: ACK ERROR inventory.shop");
    mesh.api()
        .apply(&Plugin::new("sluice", &shadowed)?.on("inventory").server().phase("AUTHN").document())?;
    why.wait()?;
    told.wait()?;
    client_may_only_read(mesh)
}

/// The VM dies while it serves. A module of ours does not; this one does, on every request with a body. Afterwards FAIL_CLOSE
/// answers 503 for ever, FAIL_OPEN lets all through undecided, and FAIL_RELOAD decides again after a second or two.
pub(crate) fn a_vm_that_dies(mesh: &Mesh) -> Result<()> {
    let _server = serving(mesh, wat::parse_str(DIES_ON_A_BODY).map_err(|e| e.to_string())?)?;
    for (strategy, afterwards) in [("FAIL_CLOSE", 503), ("FAIL_OPEN", 200), ("FAIL_RELOAD", 200)] {
        let dying = Plugin::new("dies", "")?
            .on("inventory")
            .server()
            .url(&format!("http://{WORLD}:7000/dies-{strategy}.wasm"))
            .with("failStrategy", strategy);
        let applied = mesh.install(&dying)?;
        assert_eq!(read(mesh)?.status, 200, "{strategy}: it serves");
        // What kills it is answered, and not passed on, whatever the strategy.
        mesh.service("inventory").forget();
        assert_eq!(write(mesh)?.status, 503, "{strategy}");
        assert!(mesh.service("inventory").received().is_empty());
        wait_for_status(mesh, &format!("{strategy}: requests afterwards"), afterwards, || read(mesh))?;
        // Whether there is a module again, to be killed, or nobody.
        let poison_again = if strategy == "FAIL_OPEN" { 200 } else { 503 };
        assert_eq!(write(mesh)?.status, poison_again, "{strategy}");
        applied.remove()?;
    }
    Ok(())
}

/// Proxy-Wasm 0.2.1, as little as a host takes.
const DIES_ON_A_BODY: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    local.get 2
    i32.eqz
    if unreachable end
    i32.const 0))"#;
