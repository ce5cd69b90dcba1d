//! What dies while it is needed: the answer says what and why, and all is well again without help.

use std::time::Duration;

use sluice_integration::tokens::Token;
use sluice_integration::{Answer, Mesh, Proxy, Request, wait_until};

fn order(mesh: &Mesh, path: &str) -> Answer {
    let token = Token::of("alice").scope("orders:read").sign();
    mesh.send(&Request::get(path).bearer(&token)).unwrap()
}

/// The body of an error of the network: a problem document that says which proxy found what.
fn assert_problem(answer: &Answer, status: u16, proxy: &str, flag: &str) {
    let problem = answer.json();
    assert_eq!(answer.status, status, "{problem}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(problem["status"], status);
    assert_eq!(problem["proxy"], proxy, "{problem}");
    assert!(problem["flags"].as_str().unwrap().contains(flag), "{problem}");
    assert!(!problem["reason"].as_str().unwrap().is_empty(), "{problem}");
}

fn assert_recovers(mesh: &Mesh, path: &str) {
    wait_until("an order", Duration::from_secs(60), || order(mesh, path).status == 200).unwrap();
}

#[test]
fn a_killed_sidecar_is_a_clear_503_until_it_is_back() {
    let mut mesh = Mesh::for_test("sidecar");
    assert_eq!(order(&mesh, "/orders/7").status, 200);
    mesh.envoy_mut(Proxy::Orders).process().kill();
    for _ in 0..5 {
        assert_problem(&order(&mesh, "/orders/7"), 503, "edge", "U");
    }
    mesh.restart_envoy(Proxy::Orders).unwrap();
    assert_recovers(&mesh, "/orders/7");
}

#[test]
fn a_killed_service_is_a_clear_503_of_its_sidecar_until_it_is_back() {
    let mut mesh = Mesh::for_test("service");
    assert_eq!(order(&mesh, "/orders/7").status, 200);
    mesh.service_mut("orders-v1").kill();
    for _ in 0..5 {
        assert_problem(&order(&mesh, "/orders/7"), 503, "orders-inbound", "U");
    }
    mesh.restart_service("orders-v1").unwrap();
    assert_recovers(&mesh, "/orders/7");
}

#[test]
fn a_service_that_hangs_is_a_504_in_time() {
    let mut mesh = Mesh::for_test("hang");
    assert_eq!(order(&mesh, "/orders/7").status, 200);
    mesh.service_mut("orders-v1").freeze();
    let answer = order(&mesh, "/orders/7");
    assert_problem(&answer, 504, "orders-inbound", "UT");
    mesh.service_mut("orders-v1").thaw();
    assert_recovers(&mesh, "/orders/7");
}

#[test]
fn a_called_service_that_is_dead_is_told_by_the_callers_own_sidecar() {
    let mut mesh = Mesh::for_test("callee");
    mesh.envoy_mut(Proxy::Inventory).process().kill();
    let answer = order(&mesh, "/orders/7?with=stock");
    let stock = &answer.json()["stock"];
    assert_eq!((answer.status, stock["status"].as_u64()), (200, Some(503)), "{stock}");
    assert_eq!(stock["answer"]["proxy"], "orders-outbound");
    mesh.restart_envoy(Proxy::Inventory).unwrap();
    wait_until("the stock", Duration::from_secs(60), || {
        order(&mesh, "/orders/7?with=stock").json()["stock"]["status"] == 200
    })
    .unwrap();
}
