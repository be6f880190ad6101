package space

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestCountsByHand(t *testing.T) {
	for _, c := range []struct {
		key                           string
		out                           int
		multiplyAdds, weights, params int64
		shortcut                      bool
	}{
		{"stem_k3_i3_o16_s2_r224", 112, 9 * 3 * 16 * 112 * 112, 432, 432 + 32, false},
		{"stem_k3_i3_o16_s2_r7", 4, 9 * 3 * 16 * 16, 432, 432 + 32, false},
		{"mbconv_k3_t1_i16_o16_s1_r112", 112, (9*16 + 16*16) * 112 * 112, 144 + 256, 400 + 2*(16+16), true},
		{"mbconv_k5_t6_i16_o24_s2_r112", 56, 16*96*112*112 + (25*96+96*24)*56*56, 1536 + 2400 + 2304, 6240 + 2*(96+96+24), false},
		{"mbconv_k7_t3_i8_o8_s2_r5", 3, 8*24*25 + (49*24+24*8)*9, 192 + 1176 + 192, 1560 + 2*(24+24+8), false},
		{"mbconv_k3_t3_i8_o16_s1_r5", 5, (8*24 + 9*24 + 24*16) * 25, 192 + 216 + 384, 792 + 2*(24+24+16), false},
		{"stem_relu_k3_i3_o32_s2_r224", 112, 9 * 3 * 32 * 112 * 112, 864, 864 + 64, false},
		{"basic_i48_o64_s2_r56", 28, (9*48*64 + 9*64*64 + 48*64) * 28 * 28, 9*48*64 + 9*64*64 + 48*64, 9*48*64 + 9*64*64 + 48*64 + 6*64, false},
		{"basic_i8_o8_s2_r5", 3, (9*64 + 9*64 + 64) * 9, 1216, 1216 + 48, false},
		{"basic_i64_o64_s1_r28", 28, 18 * 64 * 64 * 28 * 28, 18 * 64 * 64, 18*64*64 + 4*64, true},
		{"skip_i24_o24_s1_r56", 56, 0, 0, 0, false},
		{"final_i384_o1984_r7", 7, 384 * 1984 * 49, 384 * 1984, 384*1984 + 2*1984, false},
		{"classifier_i1984_o1000_r7", 1, 1984000, 1985000, 1985000, false},
	} {
		op, err := ParseKey(c.key)
		if err != nil {
			t.Errorf("%s: %v", c.key, err)
			continue
		}
		if op.Key() != c.key || op.OutResolution() != c.out || op.MultiplyAdds() != c.multiplyAdds || op.Weights() != c.weights ||
			op.Parameters() != c.params || op.Shortcut() != c.shortcut {
			t.Errorf("%s: key %s, output %d, %d multiply-adds, %d weights, %d parameters, shortcut %t; want %+v",
				c.key, op.Key(), op.OutResolution(), op.MultiplyAdds(), op.Weights(), op.Parameters(), op.Shortcut(), c)
		}
	}
}

func TestCheckNamesTheField(t *testing.T) {
	for message, op := range map[string]Op{
		"kernel is 4, allowed are 3, 5 and 7":                    {MBConv, 4, 3, 8, 8, 1, 7, ReLU6},
		"kernel is 1, allowed are 3, 5 and 7":                    {MBConv, 1, 3, 8, 8, 1, 7, ReLU6},
		"kernel is 9, allowed are 1, 3, 5 and 7":                 {Stem, 9, 0, 3, 8, 1, 7, ReLU6},
		"expansion is 0, allowed is 1 to 8":                      {MBConv, 3, 0, 8, 8, 1, 7, ReLU6},
		"expansion is 2, but stem has none":                      {Stem, 3, 2, 3, 8, 2, 7, ReLU6},
		"stride is 3, allowed is 1 to 2":                         {MBConv, 3, 3, 8, 8, 3, 7, ReLU6},
		"stride is 2, allowed is 1 to 1":                         {Skip, 0, 0, 8, 8, 2, 7, ReLU6},
		"stride is 1, but final has none":                        {Final, 0, 0, 8, 8, 1, 7, ReLU6},
		"a skip from 8 to 9":                                     {Skip, 0, 0, 8, 9, 1, 7, ReLU6},
		"channels in is 0, allowed is 1 to 8192":                 {Final, 0, 0, 0, 8, 0, 7, ReLU6},
		"channels out is 8193, allowed is 1 to 8192":             {Final, 0, 0, 8, 8193, 0, 7, ReLU6},
		"channels out is 65537, allowed is 1 to 65536":           {Classifier, 0, 0, 8, 65537, 0, 7, ReLU6},
		"resolution is 1025, allowed is 1 to 1024":               {Classifier, 0, 0, 8, 10, 0, 1025, ReLU6},
		`unknown op "conv", known are stem, mbconv, basic, skip`: {Kind: "conv"},
		"kernel is 3, but basic has none":                        {Basic, 3, 0, 8, 8, 1, 7, ReLU6},
		`activation is "relu", but mbconv has its own`:           {MBConv, 3, 3, 8, 8, 1, 7, ReLU},
		`activation is "tanh", allowed is relu`:                  {Stem, 3, 0, 8, 8, 1, 7, "tanh"},
	} {
		if err := op.Check(); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%+v: %v, want %q", op, err, message)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, key := range []string{"", "mbconv", "conv_k3", "mbconv_k3_t6_i16_o24_s2", "mbconv_k3_t6_i16_o24_s2_r112_x1", "mbconv_k03_t6_i16_o24_s2_r112",
		"mbconv_t6_k3_i16_o24_s2_r112", "mbconv_k3_t6_i16_o24_s2_r+112", "skip_i24_o32_s1_r56", "mbconv_k3_t6_i16_o24_s2_r99999999999999999999",
		"final_i384_o1984_r7_", "final_relu_i384_o1984_r7", "stem_relu6_k3_i3_o16_s2_r224", "stem_relu_relu_k3_i3_o16_s2_r224", "basic_k3_i8_o8_s1_r7",
		" final_i384_o1984_r7", "mbconv_k3_t6_i99999_o24_s2_r112"} {
		if op, err := ParseKey(key); err == nil {
			t.Errorf("%q reads as %+v", key, op)
		} else if key != "" && !strings.Contains(err.Error(), "key ") {
			t.Errorf("%q: the error %q does not name the key", key, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, key := range []string{"mbconv_k3_t6_i16_o24_s2_r112", "skip_i24_o24_s1_r56", "stem_k3_i3_o16_s2_r224", "stem_relu_k3_i3_o16_s2_r224", "basic_i8_o8_s1_r7", "final_i384_o1984_r7",
		"classifier_i1984_o1000_r7", "mbconv_k3__i", "skip_i-1_o-1_s1_r1"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		op, err := ParseKey(key)
		if err != nil {
			return
		}
		if op.Key() != key {
			t.Errorf("%q reads as an op with the key %q", key, op.Key())
		}
		if err := op.Check(); err != nil {
			t.Errorf("%q reads as an op out of range: %v", key, err)
		}
		if op.MultiplyAdds() < 0 || op.Parameters() < op.Weights() || op.OutResolution() < 1 {
			t.Errorf("%q has %d multiply-adds, %d weights, %d parameters", key, op.MultiplyAdds(), op.Weights(), op.Parameters())
		}
	})
}

// A network and the one of its keys have the same ops.
func TestParseKeysReadsWhatKeysWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	networks := []*Architecture{MobileNetV2(0.5, 64, 10)}
	for _, name := range Names() {
		s, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			networks = append(networks, s.Draw(r, func(Op) float64 { return 1 }))
		}
	}
	for _, want := range networks {
		got, err := ParseKeys(want.Keys())
		if err != nil || !slices.Equal(got.Ops(), want.Ops()) || got.Keys() != want.Keys() || got.Resolution != want.Resolution || got.Channels != want.Channels || got.Classes != want.Classes {
			t.Fatalf("%v: %s\nread as %+v", err, want.Keys(), got)
		}
	}
	keys := networks[0].Keys()
	for name, broken := range map[string]string{
		"nothing":          "",
		"two spaces":       strings.Replace(keys, " ", "  ", 1),
		"no classifier":    keys[:strings.LastIndex(keys, " ")],
		"other widths":     strings.Replace(keys, "_o16_", "_o24_", 1),
		"more than layers": strings.Repeat(keys+" ", 1000) + keys,
	} {
		if a, err := ParseKeys(broken); err == nil {
			t.Errorf("%s is read as %+v", name, a)
		}
	}
}
