package space

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/testdata"

	"github.com/google/go-cmp/cmp"
)

func TestNetConfigRoundTrip(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "published.net_config"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(string(data))
	if got, err := published(t).NetConfig(); err != nil || got != text {
		t.Errorf("published architecture: %v\n got %s\nwant %s", err, got, text)
	}
	mobilenet := MobileNetV2(1, 224, 1000)
	text, err = mobilenet.NetConfig()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseNetConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	got.Name = mobilenet.Name
	if diff := cmp.Diff(mobilenet, got); diff != "" {
		t.Errorf("MobileNetV2 through net_config (-want +got):\n%s", diff)
	}
	r := rand.New(rand.NewPCG(8, 0))
	for range 100 {
		s := randomSpace(r)
		a := randomArchitecture(r, s)
		text, err := a.NetConfig()
		if s.Stem.Stride == 1 {
			if err == nil || !strings.Contains(err.Error(), "stem") {
				t.Fatalf("a stem with stride 1 gave %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseNetConfig(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got = got.WithResolution(s.Resolution).WithChannels(s.Channels).WithClasses(s.Classes)
		if diff := cmp.Diff(a.Ops(), got.Ops()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestNetConfigReadsSkipsAndSpaces(t *testing.T) {
	a, err := ParseNetConfig(" [ [8,8] ,\"mbconv_k3_t1\",['skip_connect' , 'mbconv_k5_t3'],2,1 ] |\n[[8, 32], 'conv1_1']\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Layers) != 6 || a.Layers[2].Op.Kind != Skip || a.Layers[3].Op.Kernel != 5 {
		t.Errorf("layers are %+v", a.Layers)
	}
	if text, err := a.NetConfig(); err != nil || text != "[[8, 8], 'mbconv_k3_t1', ['skip_connect', 'mbconv_k5_t3'], 2, 1]|[[8, 32], 'conv1_1']" {
		t.Errorf("written as %s, %v", text, err)
	}
}

// Text of basic blocks ends with the last of them, and means a stem with ReLU and no final convolution.
func TestNetConfigOfBasicBlocks(t *testing.T) {
	const text = "[[32, 64], 'basic_block', [], 0, 2]|[[64, 96], 'basic_block', ['basic_block', 'skip_connect'], 2, 2]"
	a, err := ParseNetConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, op := range a.Ops() {
		keys = append(keys, op.Key())
	}
	want := []string{"stem_relu_k3_i3_o32_s2_r224", "basic_i32_o64_s2_r112", "basic_i64_o96_s2_r56", "basic_i96_o96_s1_r28", "skip_i96_o96_s1_r28",
		"classifier_i96_o1000_r28"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, err := a.NetConfig(); err != nil || got != text {
		t.Errorf("written as %s, %v", got, err)
	}
	final, err := ParseNetConfig(text + "|[[96, 128], 'conv1_1']")
	if err != nil || final.Layers[5].Op.Kind != Final {
		t.Errorf("with a final convolution: %+v, %v", final, err)
	}
	a.Layers[0].Op.Activation = ReLU6
	if _, err := a.NetConfig(); err == nil || !strings.Contains(err.Error(), "stem with ReLU") {
		t.Errorf("another activation of the stem gave %v", err)
	}
	mobile := MobileNetV2(1, 224, 1000)
	n := len(mobile.Layers) - 2
	mobile.Layers[n] = mobile.Layers[n+1]
	mobile.Layers = mobile.Layers[:n+1]
	mobile.Layers[n].Op.In = mobile.Layers[n-1].Op.Out
	if _, err := mobile.NetConfig(); err == nil || !strings.Contains(err.Error(), "this network has none") {
		t.Errorf("an inverted residual without a final convolution behind it gave %v", err)
	}
}

func TestGoldenDerivedTextsRoundTrip(t *testing.T) {
	data, err := os.ReadFile(testdata.Shared(t, "golden/mbv2-chained-cost.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []struct{ Derived string } }
	if err := json.Unmarshal(data, &file); err != nil || len(file.Cases) == 0 {
		t.Fatalf("%d cases, %v", len(file.Cases), err)
	}
	for _, c := range file.Cases {
		a, err := ParseNetConfig(c.Derived)
		if err != nil {
			t.Errorf("%s: %v", c.Derived, err)
			continue
		}
		if got, err := a.NetConfig(); err != nil || got != c.Derived {
			t.Errorf("%v\n got %s\nwant %s", err, got, c.Derived)
		}
	}
}

func TestNetConfigErrorsNameThePosition(t *testing.T) {
	for text, message := range map[string]string{
		"":                          "character 1: the text ends",
		"x":                         "character 1: found 'x', expected '['",
		"[[8, 8], 'conv1_1']":       "character 1: expected a block before 'conv1_1'",
		"[[8, 0], 'mbconv_k3_t1'":   "character 6: 0 is out of range, allowed is 1 to 8192",
		"[[8, 9999999999999999999]": "is out of range",
		"[[8, -1]":                  "character 6: expected a number",
		"[[8, 8], mbconv":           "character 10: expected a name in quotes",
		"[[8, 8], 'mbconv":          "character 10: the quotes are never closed",
		"[[8, 8], 'mbconv_k4_t1', [], 0, 1]|[[8, 9], 'conv1_1']":                                          "character 9: unknown head \"mbconv_k4_t1\"",
		"[[8, 8], 'skip_connect', [], 0, 1]|[[8, 9], 'conv1_1']":                                          "unknown head",
		"[[8, 8], 'mbconv_k3_t1', ['skip'], 1, 1]|[[8, 9], 'conv1_1']":                                    "'skip_connect'",
		"[[8, 8], 'mbconv_k3_t1', ['mbconv_k3_t3'], 2, 1]|[[8, 9], 'conv1_1']":                            "character 44: the number of stacked layers: is 2, expected 1 as listed",
		"[[8, 8], 'mbconv_k3_t1', ['mbconv_k3_t3' 'mbconv_k3_t3'], 2, 1]":                                 "character 42: found '\\'', expected ','",
		"[[8, 8], 'mbconv_k3_t1', ['mbconv_k3_t3',], 2, 1]":                                               "expected a name in quotes",
		"[[8, 8], 'mbconv_k3_t1', [], 0, 3]|[[8, 9], 'conv1_1']":                                          "3 is out of range, allowed is 1 to 2",
		"[[8, 8], 'mbconv_k3_t1', [], 0, 1]|[[9, 9], 'conv1_1']":                                          "character 36: the block takes 9 channels, but the one before gives 8",
		"[[8, 8], 'mbconv_k3_t1', [], 0, 1]|[[8, 9], 'conv1_1']|":                                         "character 55: text after 'conv1_1'",
		"[[8, 8], 'basic_block', ['basic'], 1, 1]":                                                        "basic is written 'basic_block' here",
		"[[8, 8], 'basic_block', [], 0, 1]|":                                                              "the text ends, expected '['",
		"[[8, 8], 'basic_block', [], 0, 1]|[[8, 8], 'mbconv_k3_t1', ['basic_block'], 1, 1]":               "the text ends, expected '|'",
		"[[8, 8], 'mbconv_k3_t1', [], 0, 1]":                                                              "character 35: the text ends, expected '|'",
		strings.Repeat("[[8, 8], 'mbconv_k3_t1', [], 0, 1]|", 1001) + "[[8, 9], 'conv1_1']":               "more than 1000 layers",
		"[[8, 8], 'mbconv_k3_t1', [" + strings.Repeat("'mbconv_k3_t3',", 1001) + "'skip_connect'], 2, 1]": "more than 1000 stacked layers",
		strings.Repeat(" ", maxNetConfig+1):                                                               "allowed are at most",
	} {
		_, err := ParseNetConfig(text)
		if err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%.100q gave %v, want %q", text, err, message)
		}
	}
}

func FuzzParseNetConfig(f *testing.F) {
	f.Add("[[16, 16], 'mbconv_k3_t1', [], 0, 1]|[[16, 24], 'mbconv_k3_t6', ['skip_connect', 'mbconv_k7_t3'], 2, 2]|[[24, 1984], 'conv1_1']")
	f.Add("[[8,8],\"mbconv_k3_t1\",['")
	f.Add("[[8, 8], 'basic_block', ['basic_block', 'skip_connect'], 2, 2]")
	f.Add("[[8192,8192],'mbconv_k7_t8',[],0,2]|[[8192,8192],'conv1_1']")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseNetConfig(text)
		if err != nil {
			return
		}
		written, err := a.NetConfig()
		if err != nil {
			t.Fatalf("%q is read, but not written: %v", text, err)
		}
		again, err := ParseNetConfig(written)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, written, err)
		}
		if diff := cmp.Diff(a, again); diff != "" {
			t.Errorf("%q changed by writing: %s", text, diff)
		}
	})
}
