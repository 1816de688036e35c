//! Scratch.
use inferproof_circuits::import::onnx::load;
use inferproof_circuits::ops::Op;
fn main() {
    for a in std::env::args().skip(1) {
        let t = std::time::Instant::now();
        let g = load(&std::fs::read(&a).unwrap());
        let g = match g {
            Ok(g) => g,
            Err(e) => {
                println!("{a}: {e}");
                continue;
            }
        };
        println!("{a} import {:?}", t.elapsed());
        for n in &g.nodes {
            let (d, lo, hi) = match &n.op {
                Op::Add(x) => (x.differing.len(), x.lo, x.hi),
                o => match o.requantize() {
                    Some(r) => (r.channels.iter().map(|c| c.differing.len()).sum(), r.lo, r.hi),
                    None => (0, 0, 0),
                },
            };
            println!(
                "  {} {} differing {d} clamp {lo}..{hi} {:?} -> {}",
                n.op.kind(),
                n.name
                    .chars()
                    .rev()
                    .take(40)
                    .collect::<String>()
                    .chars()
                    .rev()
                    .collect::<String>(),
                n.inputs,
                n.output.0
            );
        }
    }
}
