// Package tensorboard appends scalars to the event files that TensorBoard shows.
//
// An event file is a sequence of records: eight bytes of length, a checksum of these, the data, and a checksum of the data, all little-endian.
// The checksums are CRC-32C, rotated and with a constant added. The data are messages of TensorFlow's event.proto, of which this
// package writes four fields with protobuf's wire encoding and no generated code.
package tensorboard

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"densenas/internal/files"
)

// Scalar is a number with the name of its chart, such as loss/train.
type Scalar struct {
	Tag   string
	Value float64 // written as a float32
}

// Fields of event.proto and summary.proto.
const (
	eventWallTime    = 1
	eventStep        = 2
	eventFileVersion = 3
	eventSummary     = 5
	eventSession     = 7
	summaryValue     = 1
	valueTag         = 1
	valueSimple      = 2
	sessionStatus    = 1
	sessionStart     = 1

	fileVersion = "brain.Event:2"
)

// Writer appends to one event file. A run that continues opens another in the same folder.
type Writer struct {
	file *os.File
	now  func() time.Time
}

// Open creates an event file in folder, which is made where it is missing. What TensorBoard was shown of this folder from step on
// does not count any more: a run that continues from a checkpoint makes those steps again.
func Open(folder string, step int) (*Writer, error) { return open(folder, step, time.Now) }

func open(folder string, step int, now func() time.Time) (*Writer, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	// The names sort by time: TensorBoard reads them in their order.
	at := now()
	name := fmt.Sprintf("events.out.tfevents.%010d.%09d.densenas", at.Unix(), at.Nanosecond())
	file, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	w := &Writer{file, now}
	version := protowire.AppendString(protowire.AppendTag(nil, eventFileVersion, protowire.BytesType), fileVersion)
	start := protowire.AppendVarint(protowire.AppendTag(nil, sessionStatus, protowire.VarintType), sessionStart)
	session := protowire.AppendBytes(protowire.AppendTag(nil, eventSession, protowire.BytesType), start)
	if err = w.append(0, version); err == nil {
		err = w.append(step, session)
	}
	if err == nil {
		err = files.SyncFolder(folder)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Add appends the scalars of a step, 0 or more, and syncs the file. Values that are no numbers are shown as such by TensorBoard.
func (w *Writer) Add(step int, scalars []Scalar) error {
	var summary []byte
	for _, s := range scalars {
		value := protowire.AppendString(protowire.AppendTag(nil, valueTag, protowire.BytesType), s.Tag)
		value = protowire.AppendFixed32(protowire.AppendTag(value, valueSimple, protowire.Fixed32Type), math.Float32bits(float32(s.Value)))
		summary = protowire.AppendBytes(protowire.AppendTag(summary, summaryValue, protowire.BytesType), value)
	}
	if err := w.append(step, protowire.AppendBytes(protowire.AppendTag(nil, eventSummary, protowire.BytesType), summary)); err != nil {
		return err
	}
	return w.file.Sync()
}

// Close closes the file. A nil Writer has none.
func (w *Writer) Close() error {
	if w == nil {
		return nil
	}
	return w.file.Close()
}

// append writes an event that has what is encoded already, with time and step.
func (w *Writer) append(step int, what []byte) error {
	seconds := float64(w.now().UnixNano()) / 1e9
	event := protowire.AppendFixed64(protowire.AppendTag(nil, eventWallTime, protowire.Fixed64Type), math.Float64bits(seconds))
	event = protowire.AppendVarint(protowire.AppendTag(event, eventStep, protowire.VarintType), uint64(step))
	event = append(event, what...)
	record := binary.LittleEndian.AppendUint64(nil, uint64(len(event)))
	record = binary.LittleEndian.AppendUint32(record, masked(record))
	record = append(record, event...)
	record = binary.LittleEndian.AppendUint32(record, masked(event))
	_, err := w.file.Write(record)
	return err
}

// masked is the checksum of a record's part.
func masked(data []byte) uint32 {
	c := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}
