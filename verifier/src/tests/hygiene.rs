//! What a proof may not give away by itself.

use super::fixture::{VALUES, small};
use crate::Backend;
use std::collections::HashSet;

const PROOFS: usize = 8;

#[test]
fn soundness_proofs_of_one_statement_share_no_commitment() {
    for backend in [Backend::Shplonk, Backend::Gwc] {
        let model = small(backend);
        let cs = model.key.halo2().cs();
        let (advice, degree) = (cs.num_advice_columns(), cs.degree());
        // Advice, the permutation's product, the random polynomial, the quotient's pieces.
        let points = advice + 1 + 1 + (degree - 1);
        let x = [1, -2, 3, 100];
        assert_eq!(x.len(), VALUES);
        let proofs: Vec<Vec<u8>> = (0..PROOFS).map(|_| model.prove(&x, None).proof).collect();
        let commitments = proofs.iter().flat_map(|proof| proof[..32 * points].chunks(32));
        let distinct: HashSet<&[u8]> = commitments.collect();
        assert_eq!(distinct.len(), PROOFS * points, "{backend}");
        println!(
            "figure: {backend}: {PROOFS} proofs of one statement, {advice} advice commitments each, none shared"
        );
    }
}

/// A column with as many random rows as it is opened at, and one more, shows nothing of its other rows.
#[test]
fn every_advice_column_has_more_random_rows_than_openings() {
    for backend in [Backend::Shplonk, Backend::Gwc] {
        let cs = small(backend).key.halo2().cs();
        for column in 0..cs.num_advice_columns() {
            let queries = cs.advice_queries().iter();
            // The multi-opening argument opens a combination of all columns at one point more.
            let openings = 1 + queries.filter(|(c, _)| c.index() == column).count();
            assert!(openings > 1, "{backend}: column {column} is opened nowhere");
            assert!(openings < cs.blinding_factors() + 1, "{backend}: column {column}");
        }
    }
}
