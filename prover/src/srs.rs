//! The SRS: made locally (INSECURE), or taken from a ceremony.
//!
//! | from | by | trusted with |
//! | --- | --- | --- |
//! | this machine | [`Srs::generate_insecure`] | nothing: whoever ran it may know tau and can prove anything |
//! | a halo2 file | [`Srs::import_halo2`] | its ceremony; every point and the whole are tested |
//! | a snarkjs `.ptau` | [`Srs::import_ptau`] | its ceremony; every point and the whole are tested |
//! | nowhere | [`Srs::transparent`] | nothing: generators that follow from their numbers, for backends without a secret |
//! | a file of [`Srs::save`] | [`Srs::open`] | as where it came from; every point and the whole are tested |
//! | the same, from this user's cache | [`Srs::load_cached`] | the cache folder: hash and single points only |
//!
//! The tests are listed in `srs/check.rs`. They show that the points are the powers of *one* tau and not that
//! nobody knows it: that is what the ceremony and the pinned hash are for.

mod body;
mod check;
mod container;
mod fault;
mod generate;
mod lagrange;
mod multiple;
mod pin;
mod ptau;
#[cfg(test)]
mod tests;

pub use fault::{Part, SectionFault, SrsError};
pub use inferproof_verifier::srs::{MAX_K, MIN_K, PointFault, SrsVerifier, SrsVerifierError};
pub use pin::Pin;

use crate::files::{self, Cache};
use body::Parts;
use halo2_proofs::halo2curves::bn256::{Bn256, Fr, G1Affine, G2Affine};
use halo2_proofs::halo2curves::ff::Field;
use halo2_proofs::poly::commitment::{Params, ParamsProver};
use halo2_proofs::poly::kzg::commitment::ParamsKZG;
use inferproof_verifier::Generators;
use inferproof_verifier::srs::{check_k, one_row_params};
pub(crate) use multiple::Multiplier;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Longest file name that is kept as part of a source.
const MAX_NAME_BYTES: usize = 128;

/// Where an SRS comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SrsSource {
    /// Made by this program. INSECURE.
    Local,
    /// Generators without a secret: each is the hash of its number.
    Generators,
    /// A file in halo2's layout.
    Halo2 {
        /// Name of the file.
        name: String,
        /// True when its hash was compared with one that the caller gave.
        pinned: bool,
    },
    /// A `.ptau` file of snarkjs.
    PowersOfTau {
        /// Name of the file.
        name: String,
        /// True when its hash was compared with one that the caller gave.
        pinned: bool,
    },
}

impl SrsSource {
    /// Whether the name is short and can be printed.
    fn is_plain(&self) -> bool {
        match self {
            Self::Local | Self::Generators => true,
            Self::Halo2 { name, .. } | Self::PowersOfTau { name, .. } => *name == plain_name(name),
        }
    }
}

impl std::fmt::Display for SrsSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, name, pinned) = match self {
            Self::Local => return f.write_str("made on one machine, INSECURE"),
            Self::Generators => return f.write_str("generators hashed from their numbers, no secret"),
            Self::Halo2 { name, pinned } => ("halo2 file", name, pinned),
            Self::PowersOfTau { name, pinned } => ("powers of tau", name, pinned),
        };
        let pinned = if *pinned { "hash pinned" } else { "hash NOT pinned" };
        write!(f, "{kind} {name}, {pinned}")
    }
}

/// Keeps of a name what can be printed on any terminal.
fn plain_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    name.chars().take(MAX_NAME_BYTES).map(plain).collect()
}

/// Which tests follow when points were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// All of them.
    Nothing,
    /// None: the file was written by this program after all of them.
    OwnCache,
}

/// How a file from outside is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Log2 of the rows wanted; all that the file has (at most 2^[`MAX_K`]) when absent.
    pub k: Option<u32>,
    /// Hash that the file must have. Compared before anything is parsed.
    pub pin: Option<Pin>,
}

/// A checked SRS.
#[derive(Debug, Clone)]
pub struct Srs {
    params: Arc<ParamsKZG<Bn256>>,
    lagrange: Arc<Vec<G1Affine>>,
    verifier: SrsVerifier,
    digest: [u8; 32],
    source: SrsSource,
    generators: Option<Arc<Generators>>,
}

impl Srs {
    /// Makes an SRS for 2^k rows from the operating system's randomness. INSECURE: tau was in this process's
    /// memory. For tests, and for provers that only deceive themselves.
    ///
    /// # Errors
    /// [`SrsError::Size`] and [`SrsError::Entropy`].
    pub fn generate_insecure(k: u32) -> Result<Self, SrsError> {
        check_k(k)?;
        let tau = Fr::random(check::system_rng()?);
        Self::from_checked(generate::from_tau(k, tau)?, SrsSource::Local)
    }

    /// The cache's INSECURE SRS for 2^k rows; made when it is not there or damaged. Two runs at once make one.
    ///
    /// # Errors
    /// [`SrsError::Size`], [`SrsError::Entropy`] and [`SrsError::File`].
    pub fn cached_insecure(cache: &Cache, k: u32) -> Result<Self, SrsError> {
        check_k(k)?;
        let usable = |srs: &Self| srs.k() == k && srs.is_insecure();
        Self::cached(cache, &format!("insecure-{k}.srs"), usable, || {
            Self::generate_insecure(k)
        })
    }

    /// The generators for 2^k rows of a scheme without a secret, with their Lagrange basis.
    ///
    /// # Errors
    /// [`SrsError::Size`].
    pub fn transparent(k: u32) -> Result<Self, SrsError> {
        SrsVerifier::transparent(k)?;
        let g = Generators::of(k).powers.clone();
        let parts = Parts {
            k,
            g_lagrange: lagrange::from_powers(k, &g),
            g,
            tau_g2: G2Affine::generator(),
        };
        Self::from_checked(parts, SrsSource::Generators)
    }

    /// As [`Srs::transparent`], with the Lagrange basis from the cache. Two runs at once make one.
    ///
    /// # Errors
    /// [`SrsError::Size`] and [`SrsError::File`].
    pub fn cached_transparent(cache: &Cache, k: u32) -> Result<Self, SrsError> {
        SrsVerifier::transparent(k)?;
        let usable = |srs: &Self| srs.k() == k && srs.generators.is_some();
        Self::cached(cache, &format!("generators-{k}.srs"), usable, || {
            Self::transparent(k)
        })
    }

    fn cached(
        cache: &Cache,
        name: &str,
        usable: impl Fn(&Self) -> bool,
        make: impl FnOnce() -> Result<Self, SrsError>,
    ) -> Result<Self, SrsError> {
        let load = |path: &Path| Self::load_cached(path).ok().filter(&usable);
        cache.take_or_make(name, load, |path| {
            let srs = make()?;
            srs.save(path)?;
            Ok(srs)
        })
    }

    /// Writes the project's own file (`srs/container.rs`), whole or not at all.
    ///
    /// # Errors
    /// [`SrsError::File`].
    pub fn save(&self, path: &Path) -> Result<(), SrsError> {
        container::save(self, path)
    }

    /// Reads a file of [`Srs::save`] that may come from anywhere. The INSECURE mark in it is the writer's word.
    ///
    /// # Errors
    /// [`SrsError::At`] with what is wrong, [`SrsError::File`].
    pub fn open(path: &Path) -> Result<Self, SrsError> {
        in_file(path, |file| container::read(file, Trust::Nothing))
    }

    /// Reads a file that [`Srs::save`] wrote into a folder to which only this user writes. Compares the hash and
    /// checks each point alone; that the points are the powers of one tau is taken from whoever wrote the file.
    ///
    /// # Errors
    /// [`SrsError::At`] with what is wrong, [`SrsError::File`].
    pub fn load_cached(path: &Path) -> Result<Self, SrsError> {
        in_file(path, |file| container::read(file, Trust::OwnCache))
    }

    /// Reads a file in halo2's own layout (`SerdeFormat::RawBytes`) as other programs write it.
    ///
    /// # Errors
    /// [`SrsError::At`] with what is wrong, [`SrsError::File`].
    pub fn import_halo2(path: &Path, options: &ImportOptions) -> Result<Self, SrsError> {
        let source = SrsSource::Halo2 {
            name: file_name(path),
            pinned: options.pin.is_some(),
        };
        in_file(path, |file| {
            pin::check(file, options.pin.as_ref())?;
            let parts = body::read_file(file, options.k)?;
            Self::from_checked(parts, source)
        })
    }

    /// Reads a `.ptau` file of snarkjs, prepared for phase 2 or not.
    ///
    /// # Errors
    /// [`SrsError::At`] with what is wrong, [`SrsError::File`].
    pub fn import_ptau(path: &Path, options: &ImportOptions) -> Result<Self, SrsError> {
        let source = SrsSource::PowersOfTau {
            name: file_name(path),
            pinned: options.pin.is_some(),
        };
        in_file(path, |file| {
            pin::check(file, options.pin.as_ref())?;
            let parts = ptau::read(file, options.k)?;
            Self::from_checked(parts, source)
        })
    }

    /// The same ceremony for 2^k rows. The Lagrange basis is computed again.
    ///
    /// # Errors
    /// [`SrsError::Size`] and [`SrsError::TooSmall`].
    pub fn downsize(self, k: u32) -> Result<Self, SrsError> {
        check_k(k)?;
        if k > self.k() {
            return Err(SrsError::TooSmall {
                wanted: k,
                available: self.k(),
            });
        }
        if k == self.k() {
            return Ok(self);
        }
        let g = self.params.get_g()[..1 << k].to_vec();
        let g_lagrange = lagrange::from_powers(k, &g);
        Self::from_checked(
            Parts {
                k,
                g,
                g_lagrange,
                tau_g2: self.params.s_g2(),
            },
            self.source,
        )
    }

    /// halo2's parameters. Without a secret they hold the generators where KZG has the powers of tau, for key generation,
    /// which only commits.
    #[must_use]
    pub fn params(&self) -> &ParamsKZG<Bn256> {
        &self.params
    }

    /// The Lagrange basis over the rows, which halo2's parameters keep to themselves.
    pub(crate) fn lagrange(&self) -> &[G1Affine] {
        &self.lagrange
    }

    /// The generators, when there is no secret.
    pub(crate) fn generators(&self) -> Option<Arc<Generators>> {
        self.generators.clone()
    }

    /// Log2 of the number of rows.
    #[must_use]
    pub fn k(&self) -> u32 {
        self.params.k()
    }

    /// Names the SRS; see [`SrsVerifier::digest`].
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// True when whoever made it may know tau.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.verifier.is_insecure()
    }

    /// Where it comes from.
    #[must_use]
    pub fn source(&self) -> &SrsSource {
        &self.source
    }

    /// What a verifier needs of it.
    #[must_use]
    pub fn verifier(&self) -> &SrsVerifier {
        &self.verifier
    }

    fn from_checked(parts: Parts, source: SrsSource) -> Result<Self, SrsError> {
        let Parts {
            k,
            g,
            g_lagrange,
            tau_g2,
        } = parts;
        let (verifier, generators) = if source == SrsSource::Generators {
            let generators = Generators::of(k);
            if g != generators.powers {
                return Err(SrsError::Generator { part: Part::Powers });
            }
            (SrsVerifier::transparent(k)?, Some(generators))
        } else {
            (SrsVerifier::new(k, &tau_g2, source == SrsSource::Local)?, None)
        };
        let lagrange = Arc::new(g_lagrange.clone());
        let params = one_row_params()?.from_parts(k, g, Some(g_lagrange), G2Affine::generator(), tau_g2);
        let digest = verifier.digest();
        Ok(Self {
            params: Arc::new(params),
            lagrange,
            verifier,
            digest,
            source,
            generators,
        })
    }
}

fn file_name(path: &Path) -> String {
    plain_name(&path.file_name().unwrap_or_default().to_string_lossy())
}

fn in_file<F>(path: &Path, read: F) -> Result<Srs, SrsError>
where
    F: FnOnce(&mut File) -> Result<Srs, SrsError>,
{
    let mut file = files::open(path)?;
    read(&mut file).map_err(|source| SrsError::At {
        path: path.to_owned(),
        source: Box::new(source),
    })
}
