//! Scratch.
use inferproof_circuits::import::onnx::load;
use inferproof_circuits::tensor::Tensor;
fn main() {
    let a = std::env::args().nth(1).unwrap();
    let g = load(&std::fs::read(&a).unwrap()).unwrap();
    let info = &g.tensors[g.inputs[0].tensor.0];
    let x: Vec<i32> = std::env::args()
        .nth(2)
        .unwrap()
        .split(',')
        .map(|v| v.parse().unwrap())
        .collect();
    let v = g
        .run(&[Tensor::new(info.shape.clone(), info.dtype, x).unwrap()])
        .unwrap();
    for (t, v) in g.tensors.iter().zip(&v) {
        println!("{} {:?}", t.name, &v.data()[..v.data().len().min(30)]);
    }
    println!("{:?}", g.differing(&v));
}
