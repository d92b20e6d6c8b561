//! Data sets in every format, whole and damaged; and, where `SNNCC_SHARED_DATA` names a folder, the real files there.

use flate2::{Compression, write::GzEncoder};
use snncc_data::{SampleValues, Samples, SpikeTrain};
use snncc_formats::data_files::{DataKind, read_labels, read_samples, read_spikes, write_spikes};
use snncc_formats::tensor_files::{AnyTensor, TensorData, write_npy, write_npz};
use snncc_ids::code;
use std::io::Write;

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx(kind: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|length| length.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn array(shape: &[usize], data: TensorData) -> AnyTensor {
    AnyTensor { shape: shape.to_vec(), data }
}

fn refused(bytes: &[u8], kind: Option<DataKind>) -> String {
    let problems = read_samples("file", bytes, kind).unwrap_err();
    assert_eq!((problems.0[0].code, problems.0[0].item.as_deref()), (code::DATA_FILE, Some("file")));
    problems.0[0].message.clone()
}

fn trains(samples: &Samples) -> &[SpikeTrain] {
    match &samples.values {
        SampleValues::Spikes(trains) => trains,
        other => panic!("{other:?}"),
    }
}

fn events(train: &SpikeTrain) -> Vec<(u32, u32, i32)> {
    train.events().collect()
}

#[test]
fn idx_plain_and_gzipped() {
    let images = idx(0x08, &[2, 2, 3], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]);
    let samples = read_samples("images", &images, None).unwrap();
    assert_eq!((samples.count, &samples.shape[..], samples.steps), (2, &[2, 3][..], None));
    let values = SampleValues::U8 { values: vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255], full_scale: 255 };
    assert_eq!(samples.values, values);
    assert_eq!(read_samples("images.gz", &gzipped(&images), None).unwrap(), samples);
    let labels = idx(0x08, &[3], &[7, 0, 9]);
    assert_eq!(read_labels("labels", &gzipped(&labels)).unwrap(), [7, 0, 9]);
    assert_eq!(read_labels("labels", &idx(0x0c, &[2], &[0, 0, 1, 0, 0, 0, 0, 5])).unwrap(), [256, 5]);
    let floats = idx(0x0d, &[1, 1], &0.5_f32.to_be_bytes());
    assert_eq!(read_samples("f", &floats, None).unwrap().values, SampleValues::F32(vec![0.5]));
    assert!(refused(&labels, None).contains("holds labels"));
}

#[test]
fn damaged_idx_is_refused_with_sizes() {
    let images = idx(0x08, &[2, 2, 3], &[0; 12]);
    let message = refused(&images[..25], None);
    assert_eq!(message, "the IDX header promises 2 x 2 x 3 = 12 values of 1 bytes; 9 bytes follow it");
    let mut long = images.clone();
    long.push(0);
    assert!(refused(&long, None).ends_with("at least 13 bytes follow it"));
    assert!(refused(&gzipped(&long), None).contains("at least 13"));
    assert!(refused(&images[..7], None).contains("ends after 7 bytes"));
    assert!(refused(&idx(0x07, &[1], &[0]), None).contains("0x07"));
    assert!(refused(&[0, 0, 8, 0], None).contains("no dimensions"));
    // A claim of 2^96 values allocates nothing, gzipped or not.
    let huge = idx(0x08, &[u32::MAX; 3], &[0]);
    assert!(refused(&huge, None).contains("too many"));
    assert!(refused(&gzipped(&huge), None).contains("too many"));
    let packed = gzipped(&images);
    assert!(refused(&packed[..packed.len() - 9], None).contains("damaged"));
    let mut wrong_checksum = packed.clone();
    let at = packed.len() - 6;
    wrong_checksum[at] ^= 1;
    assert!(refused(&wrong_checksum, None).contains("damaged"));
    assert!(refused(&[], None).contains("empty"));
    assert!(refused(&[0xff, 0xfe, 0x00], None).contains("ff fe 00"));
}

#[test]
fn arrays_are_read_by_type_and_kind() {
    let npy = |shape: &[usize], data| write_npy(&array(shape, data));
    let bytes = npy(&[2, 3], TensorData::U8(vec![1, 0, 2, 0, 3, 0]));
    assert_eq!(read_samples("f", &bytes, None).unwrap().count, 2);
    let dense = read_samples("f", &bytes, Some(DataKind::DenseSpikes)).unwrap();
    assert_eq!((dense.count, dense.steps), (1, Some(2)));
    assert_eq!(events(&trains(&dense)[0]), [(1, 0, 1), (1, 2, 2), (2, 1, 3)]);
    let series = read_samples("f", &bytes, Some(DataKind::Series)).unwrap();
    assert_eq!((series.count, series.steps, &series.shape[..]), (1, Some(2), &[3][..]));

    let flags = npy(&[2, 1, 1, 2], TensorData::Bool(vec![true, false, false, true]));
    let samples = read_samples("f", &flags, None).unwrap();
    assert_eq!((samples.count, samples.steps, &samples.shape[..]), (2, Some(1), &[1, 2][..]));
    assert_eq!(events(&trains(&samples)[1]), [(1, 1, 1)]);

    let pairs = npy(&[3, 2], TensorData::I64(vec![4, 0, 1, 2, 1, 1]));
    let samples = read_samples("f", &pairs, None).unwrap();
    assert_eq!((samples.steps, &samples.shape[..]), (Some(4), &[3][..]));
    assert_eq!(events(&trains(&samples)[0]), [(1, 1, 1), (1, 2, 1), (4, 0, 1)]);
    let triples = npy(&[2, 3], TensorData::I32(vec![2, 1, 0, 0, 5, 1]));
    let samples = read_samples("f", &triples, None).unwrap();
    assert_eq!((samples.count, samples.steps), (3, Some(5)));
    assert_eq!(trains(&samples).iter().map(SpikeTrain::spike_count).collect::<Vec<_>>(), [1, 0, 1]);

    let floats = npy(&[1, 2], TensorData::F64(vec![0.25, 1.0]));
    assert_eq!(read_samples("f", &floats, None).unwrap().values, SampleValues::F32(vec![0.25, 1.0]));
    assert!(refused(&floats, Some(DataKind::DenseSpikes)).contains("0.25"));
    assert!(refused(&floats, Some(DataKind::Events)).contains("0.25"));
    assert!(refused(&npy(&[1, 2], TensorData::F32(vec![f32::NAN, 0.0])), None).contains("no finite number"));
    let wide = npy(&[1, 2], TensorData::I64(vec![16, 300]));
    let values = SampleValues::U16 { values: vec![16, 300], full_scale: u16::MAX };
    assert_eq!(read_samples("f", &wide, Some(DataKind::Levels)).unwrap().values, values);
}

#[test]
fn faulty_events_are_refused() {
    let npy = |rows: &[u32]| write_npy(&array(&[rows.len() / 2, 2], TensorData::U32(rows.to_vec())));
    assert!(refused(&npy(&[1, 0, 0, 3]), None).contains("event 1 is at step 0; steps count from 1"));
    assert!(refused(&npy(&[1, 3, 1, 3]), None).contains("neuron 3 spikes twice in step 1"));
    assert!(refused(&npy(&[u32::MAX - 1, 0]), None).contains("more than"));
    let shape = write_npy(&array(&[2, 4], TensorData::U32(vec![1; 8])));
    assert!(refused(&shape, Some(DataKind::Events)).contains("[2, 4]"));
    let negative = write_npy(&array(&[1, 2], TensorData::I64(vec![1, -1])));
    assert!(refused(&negative, None).contains("-1"));
}

#[test]
fn npz_names_and_settings() {
    let npz = |arrays: Vec<(&str, AnyTensor)>| write_npz(&arrays);
    let vector = |values: &[u32]| array(&[values.len()], TensorData::U32(values.to_vec()));
    let single = |value| array(&[], TensorData::U32(vec![value]));
    let images = array(&[2, 2], TensorData::U8(vec![0, 16, 8, 4]));
    let bytes = npz(vec![("images", images.clone()), ("labels", vector(&[3, 1])), ("full_scale", single(16))]);
    let samples = read_samples("f", &bytes, None).unwrap();
    assert_eq!(samples.labels, Some(vec![3, 1]));
    assert_eq!(samples.values, SampleValues::U8 { values: vec![0, 16, 8, 4], full_scale: 16 });
    assert_eq!(read_labels("f", &bytes).unwrap(), [3, 1]);

    let list = array(&[2, 2], TensorData::I64(vec![0, 1, 2, 0]));
    let bytes =
        npz(vec![("events", list), ("steps", single(5)), ("shape", vector(&[2, 2])), ("first_step", single(0))]);
    let samples = read_samples("f", &bytes, None).unwrap();
    assert_eq!((samples.steps, &samples.shape[..]), (Some(5), &[2, 2][..]));
    assert_eq!(events(&trains(&samples)[0]), [(1, 1, 1), (3, 0, 1)]);

    assert!(refused(&npz(vec![("images", images.clone()), ("y", vector(&[1]))]), None).contains("1 labels for 2"));
    let message = refused(&npz(vec![("a", images.clone()), ("b", images.clone())]), None);
    assert!(message.contains("one of x, images") && message.contains("a, b"), "{message}");
    assert_eq!(read_samples("f", &npz(vec![("only", images)]), None).unwrap().count, 2);
    assert!(read_labels("f", &npz(vec![("y", array(&[1, 2], TensorData::U8(vec![0; 2])))])).is_err());
}

#[test]
fn tables() {
    let samples = read_samples("f", b"# made by hand\n0,1,0\n\n1,0,2\n", None).unwrap();
    assert_eq!((samples.steps, &samples.shape[..]), (Some(2), &[3][..]));
    assert_eq!(events(&trains(&samples)[0]), [(1, 1, 1), (2, 0, 1), (2, 2, 2)]);
    let samples = read_samples("f", b"T, neuron\r\n2, 0\r\n1, 4\r\n", None).unwrap();
    assert_eq!((samples.steps, &samples.shape[..]), (Some(2), &[5][..]));
    assert_eq!(events(&trains(&samples)[0]), [(1, 4, 1), (2, 0, 1)]);
    let samples = read_samples("f", b"sample;step;neuron\n1;1;0\n", None).unwrap();
    assert_eq!((samples.count, trains(&samples)[1].spike_count()), (2, 1));
    let samples = read_samples("f", b"a\tb\n0.5\t1\n", None).unwrap();
    assert_eq!((samples.steps, samples.values), (Some(1), SampleValues::F32(vec![0.5, 1.0])));
    assert_eq!(read_samples("f", b"3  4\n5 6\n", Some(DataKind::Levels)).unwrap().count, 2);
    assert_eq!(read_labels("f", b"label\n3\n0\n").unwrap(), [3, 0]);
    assert_eq!(refused(b"1,2\n3\n", None), "line 2 has 1 fields, the lines before have 2");
    assert_eq!(refused(b"1,2\n3,x\n", None), "line 2: `x` is not a number");
    assert!(refused(b"t,neuron\n", None).contains("no rows"));
    assert!(refused(b"t,neuron\n1\n", None).contains("2 names"));
}

#[test]
fn spike_files_come_back() {
    let plain = SpikeTrain::from_events(5, 9, &[(1, 4), (3, 0), (3, 2)]).unwrap();
    let graded = SpikeTrain::from_dense(2, &[0, 7, -3, 1]).unwrap();
    let silent = SpikeTrain::silent(3, 4);
    let bytes = write_spikes(&[("hidden", &plain), ("a.graded", &graded), ("silent", &silent)]);
    assert_eq!(bytes, write_spikes(&[("silent", &silent), ("hidden", &plain), ("a.graded", &graded)]));
    let read = read_spikes("spikes.npz", &bytes).unwrap();
    let named = |name: &str, train: SpikeTrain| (name.to_owned(), train);
    assert_eq!(read, [named("a.graded", graded), named("hidden", plain), named("silent", silent)]);
    // Another tool's dense array.
    let dense = write_npz(&[("out", array(&[2, 2], TensorData::F32(vec![0.0, 1.0, 1.0, 0.0])))]);
    assert_eq!(events(&read_spikes("f", &dense).unwrap()[0].1), [(1, 1, 1), (2, 0, 1)]);
    assert!(read_spikes("f", b"PK\x03\x04").is_err());
}

/// Cut anywhere and with any byte changed, a file gives samples or a diagnostic.
#[test]
fn damaged_files_never_panic() {
    let list = array(&[3, 3], TensorData::I64(vec![0, 1, 1, 0, 2, 0, 1, 1, 1]));
    let files = [
        idx(0x08, &[2, 2, 3], &[7; 12]),
        gzipped(&idx(0x08, &[2, 2, 3], &[7; 12])),
        write_npy(&list),
        gzipped(&write_npy(&list)),
        write_npz(&[("events", list), ("steps", array(&[], TensorData::U32(vec![4])))]),
        b"t,neuron\n1,2\n3,4\n".to_vec(),
        write_spikes(&[("a", &SpikeTrain::from_dense(2, &[0, 7, -3, 1]).unwrap())]),
    ];
    for bytes in files {
        for at in 0..bytes.len() {
            let _ = (read_samples("f", &bytes[..at], None), read_labels("f", &bytes[..at]));
            for flip in [0x04, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let _ = read_samples("f", &damaged, None).map(|samples| samples.elements());
                let _ = (read_labels("f", &damaged), read_spikes("f", &damaged));
            }
        }
    }
}

#[test]
fn real_data_sets() {
    let Some(folder) = std::env::var_os("SNNCC_SHARED_DATA").map(std::path::PathBuf::from) else {
        // Written to the stream itself: the harness hides what the print macros say in a test that passes.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"skipped: SNNCC_SHARED_DATA names no folder with mnist/, nir/ and digits8x8.npz\n",
        );
        return;
    };
    let read = |path: &str| std::fs::read(folder.join(path)).unwrap();
    let images = read_samples("t10k", &read("mnist/t10k-images-idx3-ubyte.gz"), None).unwrap();
    let labels = read_labels("t10k", &read("mnist/t10k-labels-idx1-ubyte.gz")).unwrap();
    assert_eq!((images.count, &images.shape[..]), (10_000, &[28, 28][..]));
    // The first test digits, as everyone knows them.
    assert_eq!(labels[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    images.with_labels(labels).unwrap();
    let digits = read_samples("digits", &read("digits8x8.npz"), None).unwrap();
    assert_eq!((digits.count, digits.labels.unwrap().len()), (1797, 1797));
    let csv = read_samples("b", &read("nir/rnn/braille_ds_test_0_input_256x12.csv"), None).unwrap();
    let npy = read("nir/rnn/braille_ds_test_0_input_256x12_u8.npy");
    let npy = read_samples("b", &npy, Some(DataKind::DenseSpikes)).unwrap();
    assert_eq!((csv.steps, &csv.shape[..]), (Some(256), &[12][..]));
    assert_eq!(csv, npy);
}
