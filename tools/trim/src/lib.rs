//! Makes the modules of `dist/` out of the module that cargo built.
//!
//! `proxy-wasm` exports a function for every callback of the interface, and Envoy calls each one that it finds: an empty
//! filter costs 2.8 µs a request with all of them and 2.1 µs with the two or three that it needs (docs/decisions.md). So
//! every edition keeps only its own callbacks, and what nothing can reach any more goes too.
//!
//! - [`edition`]: which modules there are, what each is built with, and what each exports (data).
//! - [`trim`]: removes exports, what became unreachable, and debugging sections.
//! - [`listing`]: what is in a module.
//! - [`dist`]: builds every edition with cargo and writes it, when its sources have changed.

pub mod dist;
pub mod edition;
pub mod listing;
pub mod trim;
