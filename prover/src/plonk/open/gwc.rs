//! GWC (Gabizon, Williamson, Ciobotaru, "PLONK"): one polynomial to commit to for each point, in the order of the points'
//! first queries.

use super::{Opening, Query, combine, divide, points};
use crate::plonk::{PlonkError, Prover, stage};
use halo2_proofs::halo2curves::bn256::Fr;

pub(super) struct Gwc;

impl Opening for Gwc {
    fn open(&self, prover: &mut Prover<'_>, queries: &[Query<'_>], x: Fr) -> Result<(), PlonkError> {
        let n = prover.domain.n;
        let points = points(prover, queries, x);
        let v = prover.challenge();
        let mut rotations: Vec<i32> = Vec::new();
        for query in queries {
            if !rotations.contains(&query.rotation) {
                rotations.push(query.rotation);
            }
        }
        let quotient = |rotation: i32| {
            let here: Vec<&[Fr]> = queries
                .iter()
                .filter(|q| q.rotation == rotation)
                .map(|q| q.polynomial)
                .collect();
            let mut p = combine(&here, v, n);
            let point = points.iter().find(|(r, _)| *r == rotation);
            point.iter().for_each(|(_, point)| divide(&mut p, *point));
            p
        };
        let quotients: Vec<Vec<Fr>> = prover
            .profile
            .time(stage::OPEN, || rotations.into_iter().map(quotient).collect());
        prover.commit(&quotients)
    }
}
