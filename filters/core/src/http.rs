//! A request as it arrived, and the normal form that rules match.

pub mod bytes;
pub mod cookie;
pub mod header;
pub mod header_map;
pub mod host;
pub mod path;
pub mod protected;
pub mod request;
