//! A real Istio mesh with Sluice in it.

use sluice_integration::{Request, Result, interrupted};
use sluice_mesh_test::{Mesh, world};

fn main() {
    if let Err(error) = world::enter().and_then(|()| interrupted::or(run)) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let t = std::time::Instant::now();
    let mesh = Mesh::start(|step| println!("… {step}"))?;
    println!("started in {:?}", t.elapsed());
    let orders = mesh.cluster_address("orders")?;
    let a = mesh.workload("client").namespace().send(&orders, &Request::get("/orders/7").header("host", "orders.shop:8080"));
    println!("{a:?}");
    if std::env::var("STAY").is_ok() { interrupted::wait(); }
    Ok(())
}
