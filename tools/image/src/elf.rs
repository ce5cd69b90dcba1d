//! Whether a program runs in an image that has nothing else: no dynamic linker, no libraries.

use std::fmt;

use oci_spec::image::Arch;

/// `PT_INTERP` of the ELF specification: the program header that names the dynamic linker.
const INTERPRETER: u32 = 3;

/// Why a program can't go into an empty image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// No 64-bit little-endian ELF file, or not a whole one.
    NotElf,
    /// For an architecture that we don't build for, by its number in ELF.
    Architecture(u16),
    /// It needs a dynamic linker.
    Dynamic,
}

impl fmt::Display for Unfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::NotElf => out.write_str("is not a whole 64-bit Linux program"),
            Unfit::Architecture(number) => {
                write!(out, "is for an architecture that images are not built for (number {number} in ELF)")
            }
            Unfit::Dynamic => out.write_str(
                "is linked dynamically, and the image has no libraries: build it as tools/build-images does, with +crt-static",
            ),
        }
    }
}

/// The architecture of a static program.
///
/// # Errors
/// [`Unfit`].
pub fn architecture(program: &[u8]) -> Result<Arch, Unfit> {
    // Magic number, 64 bits, little-endian.
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return Err(Unfit::NotElf);
    }
    let machine = u16::from_le_bytes(at(program, 18)?);
    let headers = u64::from_le_bytes(at(program, 32)?);
    let size = u16::from_le_bytes(at(program, 54)?);
    let count = u16::from_le_bytes(at(program, 56)?);
    for index in 0..u64::from(count) {
        let offset = index.checked_mul(u64::from(size)).and_then(|offset| offset.checked_add(headers));
        let offset = offset.and_then(|offset| usize::try_from(offset).ok()).ok_or(Unfit::NotElf)?;
        if u32::from_le_bytes(at(program, offset)?) == INTERPRETER {
            return Err(Unfit::Dynamic);
        }
    }
    match machine {
        62 => Ok(Arch::Amd64),
        183 => Ok(Arch::ARM64),
        other => Err(Unfit::Architecture(other)),
    }
}

fn at<const SIZE: usize>(bytes: &[u8], offset: usize) -> Result<[u8; SIZE], Unfit> {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).copied().ok_or(Unfit::NotElf)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header and one program header of this type.
    fn program(machine: u16, kind: u32) -> Vec<u8> {
        let mut program = vec![0; 64 + 56];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        program[18..20].copy_from_slice(&machine.to_le_bytes());
        program[32..40].copy_from_slice(&64_u64.to_le_bytes());
        program[54..56].copy_from_slice(&56_u16.to_le_bytes());
        program[56..58].copy_from_slice(&1_u16.to_le_bytes());
        program[64..68].copy_from_slice(&kind.to_le_bytes());
        program
    }

    #[test]
    fn only_a_static_program_of_a_known_architecture_is_taken() {
        assert_eq!(architecture(&program(62, 1)), Ok(Arch::Amd64));
        assert_eq!(architecture(&program(183, 1)), Ok(Arch::ARM64));
        assert_eq!(architecture(&program(8, 1)), Err(Unfit::Architecture(8)));
        assert_eq!(architecture(&program(62, INTERPRETER)), Err(Unfit::Dynamic));
        assert_eq!(architecture(b"#!/bin/sh\n"), Err(Unfit::NotElf));
        assert_eq!(architecture(&program(62, 1)[..66]), Err(Unfit::NotElf));
    }

    #[test]
    fn this_test_is_a_dynamic_program() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(architecture(&own), Err(Unfit::Dynamic));
    }
}
