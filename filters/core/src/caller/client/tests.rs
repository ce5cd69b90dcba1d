use super::*;
use crate::simulation::SimulatedHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const PEER: &str = "192.0.2.9";
const FORWARDED: &str = "x-forwarded-for";

/// `Ok("none")`: the connection has no address.
fn resolve(config: &AddressConfig, headers: &[(&str, &[u8])]) -> Result<String, AmbiguousAddress> {
    let environment = SimulatedHost::default().with_peer_address(PEER);
    let headers = HeaderMap::from_pairs(headers.iter().copied());
    let address = config.resolve(&headers, &environment)?;
    Ok(address.map_or("none".to_owned(), |address| address.to_string()))
}

fn hops(trusted_hops: u8) -> AddressConfig {
    AddressConfig { trusted_hops, ..AddressConfig::default() }
}

fn with_peer_header(trusted_hops: u8, use_remote_address: Option<bool>) -> AddressConfig {
    let peer_header = Some(HeaderName::from_static("x-sluice-peer"));
    AddressConfig { trusted_hops, use_remote_address, peer_header }
}

#[test]
fn only_trusted_proxies_are_believed() {
    let forwarded: [(&str, &[u8]); 1] = [(FORWARDED, b"6.6.6.6, 198.51.100.1, 192.0.2.9")];
    for (trusted, address) in [(0, PEER), (1, "198.51.100.1"), (2, "6.6.6.6"), (3, PEER), (255, PEER)] {
        assert_eq!(resolve(&hops(trusted), &forwarded).as_deref(), Ok(address), "{trusted}");
    }
    assert_eq!(resolve(&hops(1), &[]).as_deref(), Ok(PEER), "fewer addresses than hops");
    let not_appended = AddressConfig { use_remote_address: Some(false), ..hops(1) };
    assert_eq!(resolve(&not_appended, &forwarded).as_deref(), Ok(PEER), "the last");
    assert_eq!(resolve(&not_appended, &[]).as_deref(), Ok(PEER));
}

#[test]
fn bytes_of_others_change_nothing_and_what_can_not_be_read_is_never_the_peer() {
    let one = hops(1);
    for (lines, address) in [
        (vec![b"\xff, 198.51.100.1, 192.0.2.9".as_slice()], Ok("198.51.100.1")),
        (vec![b"\xff", b"198.51.100.1, 192.0.2.9"], Ok("198.51.100.1")),
        (vec![b"198.51.100.1, \xff"], Ok("198.51.100.1")),
        (vec![b"a,b,,,\x80, 198.51.100.1", b"192.0.2.9"], Ok("198.51.100.1")),
        (vec![b"198.51.100.1\t , 192.0.2.9"], Ok("198.51.100.1")),
        (vec![b"", b"198.51.100.1", b"192.0.2.9"], Ok("198.51.100.1")),
        (vec![b"198.51.100.1:4711, 192.0.2.9"], Ok("198.51.100.1")),
        (vec![b"[2001:db8::1]:80, 192.0.2.9"], Ok("2001:db8::1")),
        (vec![b"[2001:db8::1], 192.0.2.9"], Ok("2001:db8::1")),
        (vec![b"2001:DB8:0::1, 192.0.2.9"], Ok("2001:db8::1")),
        (vec![b"::ffff:198.51.100.1, 192.0.2.9"], Ok("198.51.100.1")),
        (vec![b"[::ffff:198.51.100.1]:9, 192.0.2.9"], Ok("198.51.100.1")),
        (vec![b"fe80::1%eth0, 192.0.2.9"], Ok("fe80::1")),
        (vec![b"[fe80::1%25]:80, 192.0.2.9"], Ok("fe80::1")),
        // The trusted entry itself.
        (vec![b"198.51.100.1, \xff, 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"198.51.100.1, 198.51.100.1\xc3\xa9, 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"198.51.100.1,, 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b", 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"unknown, 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"198.51.100.1", b"", b"192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"198.51.100.1 198.51.100.2, 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"\"198.51.100.1\", 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"198.51.100.01, 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"0xc6336401, 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"198.51.100.1%eth0, 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"[198.51.100.1], 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"[2001:db8::1]80, 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"[2001:db8::1]:99999, 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"[2001:db8::1, 192.0.2.9"], Err(AmbiguousAddress)),
        (vec![b"fe80::1%, 192.0.2.9"], Err(AmbiguousAddress)),
    ] {
        let headers: Vec<(&str, &[u8])> = lines.iter().map(|line| (FORWARDED, *line)).collect();
        let shown: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
        assert_eq!(resolve(&one, &headers), address.map(str::to_owned), "{shown:?}");
    }
}

#[test]
fn a_peer_header_stands_once_or_the_request_is_ambiguous() {
    let config = with_peer_header(0, None);
    let peer = |values: &[&[u8]]| {
        let headers: Vec<(&str, &[u8])> = values.iter().map(|value| ("x-sluice-peer", *value)).collect();
        resolve(&config, &headers)
    };
    assert_eq!(peer(&[b"10.0.0.1"]).as_deref(), Ok("10.0.0.1"));
    for wrong in [
        vec![b"10.0.0.1".as_slice(), b"10.0.0.2"],
        vec![],
        vec![b""],
        vec![b"\xff"],
        vec![b"10.0.0.1, 10.0.0.2"],
    ] {
        assert_eq!(peer(&wrong), Err(AmbiguousAddress), "{wrong:?}");
    }
}

#[test]
fn the_known_peer_tells_whether_it_was_appended() {
    // What a load balancer, the peer 10.0.0.9, hands on of its client 10.0.0.1, who claims to be 192.0.2.7.
    let honest = "10.0.0.1";
    let spoofed = "192.0.2.7, 10.0.0.1";
    let appended = |line: &str| format!("{line}, 10.0.0.9");
    let address = |config: &AddressConfig, line: &str| {
        resolve(config, &[("x-sluice-peer", b"10.0.0.9"), (FORWARDED, line.as_bytes())])
    };
    for line in [honest, spoofed] {
        for said in [None, Some(false)] {
            assert_eq!(
                address(&with_peer_header(1, said), line).as_deref(),
                Ok("10.0.0.1"),
                "{said:?} {line}"
            );
        }
        for said in [None, Some(true)] {
            let line = appended(line);
            assert_eq!(
                address(&with_peer_header(1, said), &line).as_deref(),
                Ok("10.0.0.1"),
                "{said:?} {line}"
            );
        }
        let contradiction = address(&with_peer_header(1, Some(true)), line);
        assert_eq!(contradiction, Err(AmbiguousAddress), "nothing was appended");
    }
    // Two trusted proxies.
    assert_eq!(
        address(&with_peer_header(2, None), "192.0.2.7, 10.0.0.1, 10.0.0.8").as_deref(),
        Ok("10.0.0.1")
    );
    assert_eq!(
        address(&with_peer_header(2, None), "192.0.2.7, 10.0.0.1, 10.0.0.8, 10.0.0.9").as_deref(),
        Ok("10.0.0.1")
    );
    // A client of the load balancer's own address: only the document can say what the last entry is.
    assert_eq!(address(&with_peer_header(1, Some(false)), "192.0.2.7, 10.0.0.9").as_deref(), Ok("10.0.0.9"));
    // Who passes by the load balancer is who it is.
    assert_eq!(
        resolve(&with_peer_header(1, None), &[("x-sluice-peer", b"10.0.0.5")]).as_deref(),
        Ok("10.0.0.5")
    );
    assert_eq!(address(&with_peer_header(1, None), "10.0.0.9").as_deref(), Ok("10.0.0.9"));
    // A last entry that can't be read is not the peer.
    let unreadable: [(&str, &[u8]); 2] = [("x-sluice-peer", b"10.0.0.9"), (FORWARDED, b"10.0.0.1, \xff")];
    assert_eq!(resolve(&with_peer_header(1, None), &unreadable), Err(AmbiguousAddress));
}

#[test]
fn a_certificate_with_several_uris_is_nobodys() {
    let list = HeaderName::from_static("x-sluice-peer-identity");
    let (orders, evil) = ("spiffe://d/orders", "spiffe://d/evil");
    let both = format!("{orders},{evil}");
    for (first, written, expected) in [
        (None, vec![], Ok(None)),
        (None, vec![evil], Ok(None)),
        (Some(orders), vec![orders], Ok(Some(orders))),
        (Some(orders), vec![both.as_str()], Err(AmbiguousPeer)),
        (Some(both.as_str()), vec![both.as_str()], Err(AmbiguousPeer)),
        (Some(orders), vec![], Err(AmbiguousPeer)),
        (Some(orders), vec![""], Err(AmbiguousPeer)),
        (Some(orders), vec![evil], Err(AmbiguousPeer)),
        (Some(orders), vec![orders, orders], Err(AmbiguousPeer)),
        (Some(orders), vec![orders, evil], Err(AmbiguousPeer)),
    ] {
        let headers = HeaderMap::from_pairs(written.iter().map(|value| (list.as_str(), *value)));
        let found = only_identity(first.map(str::to_owned), Some(&list), &headers);
        assert_eq!(found, expected.map(|identity| identity.map(str::to_owned)), "{first:?} {written:?}");
        assert_eq!(only_identity(first.map(str::to_owned), None, &headers), Ok(first.map(str::to_owned)));
    }
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    /// Whatever a client writes, the address is the one that the trusted proxy appended.
    #[test]
    fn no_bytes_of_a_client_choose_its_address(lines: Vec<Vec<u8>>) {
        let mut headers: Vec<(&str, &[u8])> = lines.iter().map(|line| (FORWARDED, line.as_slice())).collect();
        headers.push((FORWARDED, b"198.51.100.1"));
        let not_appended = AddressConfig { use_remote_address: Some(false), ..hops(1) };
        proptest::prop_assert_eq!(resolve(&not_appended, &headers), Ok("198.51.100.1".to_owned()));
        headers.push((FORWARDED, b"192.0.2.9"));
        proptest::prop_assert_eq!(resolve(&hops(1), &headers), Ok("198.51.100.1".to_owned()));
    }
}
