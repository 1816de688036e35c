//! A writer of ONNX files for tests: protocol buffers field by field.

/// A message under construction.
#[derive(Debug, Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    /// A varint, as the wire has it.
    pub fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
        self
    }

    /// An integer field.
    pub fn int(self, field: u64, value: i64) -> Self {
        self.varint(field << 3).varint(value.cast_unsigned())
    }

    /// A float field.
    pub fn float(self, field: u64, value: f32) -> Self {
        let mut message = self.varint(field << 3 | 5);
        message.0.extend(value.to_le_bytes());
        message
    }

    /// A field of bytes: text, raw data, or a message.
    pub fn bytes(self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let mut message = self
            .varint(field << 3 | 2)
            .varint(bytes.len().try_into().unwrap());
        message.0.extend(bytes);
        message
    }

    /// A field that holds a message.
    pub fn message(self, field: u64, inner: &Message) -> Self {
        self.bytes(field, &inner.0)
    }
}

/// A tensor with raw data; `code` is its `TensorProto.DataType`.
pub fn tensor(name: &str, code: i64, dims: &[i64], raw: &[u8]) -> Message {
    let message = dims.iter().fold(Message::default(), |m, d| m.int(1, *d));
    message.int(2, code).bytes(8, name).bytes(9, raw)
}

/// A float32 scalar.
pub fn float(name: &str, value: f32) -> Message {
    tensor(name, 1, &[], &value.to_le_bytes())
}

/// An int8 tensor.
pub fn int8(name: &str, dims: &[i64], values: &[i8]) -> Message {
    let raw: Vec<u8> = values.iter().map(|v| v.cast_unsigned()).collect();
    tensor(name, 3, dims, &raw)
}

/// An int64 list.
pub fn int64(name: &str, values: &[i64]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor(name, 7, &[i64::try_from(values.len()).unwrap()], &raw)
}

/// A node of the default domain, named after its first output.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    let message = inputs.iter().fold(Message::default(), |m, i| m.bytes(1, i));
    let message = outputs.iter().fold(message, |m, o| m.bytes(2, o));
    message.bytes(3, format!("node_{}", outputs[0])).bytes(4, op)
}

/// The node with an integer attribute.
pub fn with_int(node: Message, name: &str, value: i64) -> Message {
    node.message(5, &Message::default().bytes(1, name).int(3, value).int(20, 2))
}

/// The node with an attribute of integers.
pub fn with_ints(node: Message, name: &str, values: &[i64]) -> Message {
    let attribute = values
        .iter()
        .fold(Message::default().bytes(1, name), |m, v| m.int(8, *v));
    node.message(5, &attribute.int(20, 7))
}

/// A dimension of an input.
#[derive(Debug, Clone, Copy)]
pub enum Dim {
    /// A number.
    Fixed(i64),
    /// A name.
    Open(&'static str),
}

/// A graph input or output.
pub fn value(name: &str, code: i64, dims: &[Dim]) -> Message {
    let shape = dims.iter().fold(Message::default(), |m, d| {
        let dim = match d {
            Dim::Fixed(v) => Message::default().int(1, *v),
            Dim::Open(p) => Message::default().bytes(2, p),
        };
        m.message(1, &dim)
    });
    let kind = Message::default().message(1, &Message::default().int(1, code).message(2, &shape));
    Message::default().bytes(1, name).message(2, &kind)
}

/// The parts of a model.
#[derive(Debug, Clone)]
pub struct Model {
    /// Version of the default operator set.
    pub opset: i64,
    /// Nodes.
    pub nodes: Vec<Message>,
    /// Initializers.
    pub initializers: Vec<Message>,
    /// Graph inputs.
    pub inputs: Vec<Message>,
    /// Graph outputs.
    pub outputs: Vec<Message>,
}

impl Model {
    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let graph = self
            .nodes
            .iter()
            .fold(Message::default(), |m, n| m.message(1, n))
            .bytes(2, "test");
        let graph = self.initializers.iter().fold(graph, |m, t| m.message(5, t));
        let graph = self.inputs.iter().fold(graph, |m, v| m.message(11, v));
        let graph = self.outputs.iter().fold(graph, |m, v| m.message(12, v));
        let opset = Message::default().bytes(1, "").int(2, self.opset);
        Message::default()
            .int(1, 8)
            .message(7, &graph)
            .message(8, &opset)
            .0
    }

    /// The graph alone, as a subgraph has it.
    pub fn graph(&self) -> Message {
        self.nodes.iter().fold(Message::default(), |m, n| m.message(1, n))
    }

    /// A network that imports: quantize, matrix product 4 to 3 with a bias, Relu, quantize, dequantize, Softmax.
    pub fn small() -> Self {
        let bias: Vec<u8> = [100i32, -7, 3].iter().flat_map(|v| v.to_le_bytes()).collect();
        Self {
            opset: 13,
            nodes: vec![
                node("QuantizeLinear", &["x", "s_x", "z"], &["x_q"]),
                node("DequantizeLinear", &["x_q", "s_x", "z"], &["x_f"]),
                node("DequantizeLinear", &["w", "s_w", "z"], &["w_f"]),
                node("DequantizeLinear", &["b", "s_b"], &["b_f"]),
                node("MatMul", &["x_f", "w_f"], &["m"]),
                node("Add", &["m", "b_f"], &["a"]),
                node("Relu", &["a"], &["r"]),
                node("QuantizeLinear", &["r", "s_y", "z"], &["y_q"]),
                node("DequantizeLinear", &["y_q", "s_y", "z"], &["y_f"]),
                node("Softmax", &["y_f"], &["y"]),
            ],
            initializers: vec![
                float("s_x", 0.02),
                float("s_w", 0.01),
                float("s_b", 0.02 * 0.01),
                float("s_y", 0.03),
                int8("z", &[], &[0]),
                int8("w", &[4, 3], &[1, -20, 3, 100, 5, 6, -127, 8, 9, 10, 11, 12]),
                tensor("b", 6, &[3], &bias),
            ],
            inputs: vec![value("x", 1, &[Dim::Open("N"), Dim::Fixed(4)])],
            outputs: vec![value("y", 1, &[Dim::Open("N"), Dim::Fixed(3)])],
        }
    }

    /// The same with initializer `name` replaced.
    pub fn with_initializer(mut self, index: usize, tensor: Message) -> Self {
        self.initializers[index] = tensor;
        self
    }

    /// The same with node `index` replaced.
    pub fn with_node(mut self, index: usize, node: Message) -> Self {
        self.nodes[index] = node;
        self
    }

    /// The same with another input `x`.
    pub fn with_input(mut self, code: i64, dims: &[Dim]) -> Self {
        self.inputs = vec![value("x", code, dims)];
        self
    }
}
