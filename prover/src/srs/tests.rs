use super::*;
use std::time::Instant;
#[test]
fn measure() {
    for k in [10, 12, 14] {
        let t = Instant::now();
        let srs = Srs::generate_insecure(k).unwrap();
        println!("setup {k} {:?}", t.elapsed());
        let t = Instant::now();
        let l = lagrange::from_powers(k, srs.params.get_g());
        println!("lagrange {k} {:?}", t.elapsed());
        let t = Instant::now();
        check::check_powers(srs.params.get_g(), &srs.params.s_g2()).unwrap();
        check::check_lagrange(k, srs.params.get_g(), &l).unwrap();
        println!("checks {k} {:?}", t.elapsed());
    }
    let t = Instant::now();
    let srs = Srs::import_ptau(Path::new("tests/data/tiny.ptau"), &ImportOptions::default()).unwrap();
    println!("{:?} {:?}", srs.source(), t.elapsed());
}
