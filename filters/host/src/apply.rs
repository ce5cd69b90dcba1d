//! Decisions become host calls.

use crate::calls::{self, HeaderMapType, HostResult, LocalResponse};
use sluice_core::decision::response::Edit;
use sluice_core::decision::verdict::Mutations;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::http::header_map::{HeaderMap, Single};
use sluice_pipeline::Reply;

/// Makes the changes to the request whose headers are `headers`: only those that change something, since each costs more than a
/// microsecond.
///
/// # Errors
/// The first refusal. The request must not go on then: the header that stayed may be one that a client forged.
pub fn change_request(headers: &HeaderMap, mutations: &Mutations) -> HostResult<()> {
    for (name, value) in mutations.request_headers() {
        let name = name.as_str();
        match (value, headers.single(name)) {
            (None, Single::Absent) => {}
            (None, Single::Once(_) | Single::Repeated) => calls::remove_header(HeaderMapType::Request, name)?,
            (Some(value), Single::Once(present)) if value.as_bytes() == present => {}
            (Some(value), Single::Absent) => {
                calls::add_header(HeaderMapType::Request, name, value.as_bytes())?;
            }
            (Some(value), Single::Once(_) | Single::Repeated) => {
                calls::replace_header(HeaderMapType::Request, name, value.as_bytes())?;
            }
        }
    }
    if mutations.clears_route_cache() {
        calls::call_foreign_function("clear_route_cache", &[])?;
    }
    Ok(())
}

/// Sets headers of the response.
///
/// # Errors
/// The first refusal.
pub fn set_response_headers(headers: &[(HeaderName, HeaderValue)]) -> HostResult<()> {
    for (name, value) in headers {
        calls::replace_header(HeaderMapType::Response, name.as_str(), value.as_bytes())?;
    }
    Ok(())
}

/// Changes headers of the response.
///
/// # Errors
/// The first refusal.
pub fn edit_response(edits: &[Edit]) -> HostResult<()> {
    for edit in edits {
        match edit {
            Edit::Remove(name) => calls::remove_header(HeaderMapType::Response, name.as_str())?,
            Edit::Replace(name, value) => {
                calls::replace_header(HeaderMapType::Response, name.as_str(), value.as_bytes())?;
            }
            Edit::Add(name, value) => {
                calls::add_header(HeaderMapType::Response, name.as_str(), value.as_bytes())?;
            }
        }
    }
    Ok(())
}

/// Answers the request of the effective context. If the host refuses that, an answer without body and headers; if that too, the stream is
/// reset: it must neither hang nor go on.
///
/// # Errors
/// The first refusal.
pub fn answer(reply: &Reply) -> HostResult<()> {
    let pairs = reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let headers =
        if reply.headers.is_empty() { Vec::new() } else { HeaderMap::from_pairs(pairs).take_buffer() };
    let response = LocalResponse {
        status: reply.status,
        details: &reply.details,
        headers: &headers,
        body: &reply.body,
        grpc_status: reply.grpc_status,
    };
    calls::send_local_response(&response).inspect_err(|_| {
        let bare = LocalResponse { headers: &[], body: &[], ..response };
        if calls::send_local_response(&bare).is_err() {
            let _ = calls::close_request();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::stand_in::{self, Pairs, StandIn};

    fn pairs(pairs: &[(&str, &str)]) -> Pairs {
        pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn only_changes_that_change_something_reach_the_host() {
        let name = |name| HeaderName::new(name).unwrap();
        let value = |value: &str| HeaderValue::new(value.as_bytes()).unwrap();
        for (present, wanted, calls, left) in [
            (vec![], None, vec![], vec![]),
            (vec![("x", "1")], None, vec!["remove_header"], vec![]),
            (vec![("x", "1"), ("x", "1")], None, vec!["remove_header"], vec![]),
            (vec![], Some("1"), vec!["add_header"], vec![("x", "1")]),
            (vec![("x", "1")], Some("1"), vec![], vec![("x", "1")]),
            (vec![("x", "2")], Some("1"), vec!["replace_header"], vec![("x", "1")]),
            (vec![("x", "1"), ("x", "1")], Some("1"), vec!["replace_header"], vec![("x", "1")]),
        ] {
            stand_in::install(StandIn { request: pairs(&present), ..StandIn::default() });
            let headers = HeaderMap::from_pairs(present.iter().copied());
            let mut mutations = Mutations::default();
            match wanted {
                Some(wanted) => mutations.set_request_header(name("x"), value(wanted)),
                None => mutations.remove_request_header(name("x")),
            }
            change_request(&headers, &mutations).unwrap();
            stand_in::with(|host| {
                assert_eq!(host.called, calls, "{present:?} {wanted:?}");
                assert_eq!(host.request, pairs(&left), "{present:?} {wanted:?}");
            });
        }
    }

    #[test]
    fn a_request_that_cannot_be_answered_is_reset() {
        stand_in::install(StandIn::default());
        stand_in::with(|host| host.failing.insert("send_local_response"));
        let reply =
            Reply { status: 403, details: "a".to_owned(), headers: vec![], body: vec![], grpc_status: None };
        assert!(answer(&reply).is_err());
        stand_in::with(|host| {
            assert_eq!(host.called, ["send_local_response", "send_local_response", "close_request"])
        });
    }
}
