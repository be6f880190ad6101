package study

import (
	"fmt"
	"slices"
	"strconv"
)

// Group is a kind of networks that are compared.
type Group string

// The groups.
const (
	GroupSearched    Group = "searched"
	GroupRandom      Group = "random"
	GroupFixed       Group = "fixed"
	GroupMobileNetV2 Group = "mobilenetv2"
)

// Groups are all of them, in the order in which they are shown.
var Groups = []Group{GroupSearched, GroupRandom, GroupFixed, GroupMobileNetV2}

// Planned is a network of a study before it is known.
type Planned struct {
	Name  string // of its files: searched-2, random-07
	Group Group
	Seed  uint64 // of the search that it comes out of; 0: of none
	// TrainingSeeds are those that it is trained with.
	TrainingSeeds []uint64
}

// Networks are those of the study, in the order of the groups. That of MobileNetV2 is among them whether the band has one or not.
func (c *Config) Networks() []Planned {
	var all []Planned
	searched := func(group Group, searches, trainings []uint64) {
		for _, seed := range searches {
			all = append(all, Planned{fmt.Sprintf("%s-%d", group, seed), group, seed, trainings})
		}
	}
	searched(GroupSearched, c.Searched.SearchSeeds, c.Searched.TrainingSeeds)
	digits := len(strconv.Itoa(c.Random.Networks))
	for i := range c.Random.Networks {
		all = append(all, Planned{fmt.Sprintf("%s-%0*d", GroupRandom, digits, i+1), GroupRandom, 0, c.Random.TrainingSeeds})
	}
	searched(GroupFixed, c.Fixed.SearchSeeds, c.Fixed.TrainingSeeds)
	if len(c.MobileNetV2.TrainingSeeds) > 0 {
		all = append(all, Planned{string(GroupMobileNetV2), GroupMobileNetV2, 0, c.MobileNetV2.TrainingSeeds})
	}
	return all
}

// Kind is what a part does.
type Kind string

// The kinds of parts.
const (
	KindSearch Kind = "search" // for one network
	KindTrain  Kind = "train"  // one network with one seed, and look at the held-out images
	KindInside Kind = "inside" // the held-out images seen by the networks as the first search's super network has them
	KindTest   Kind = "test"   // the test images seen by everything that was trained
)

// Part is a piece of a study's work that is finished or not.
type Part struct {
	Name    string // of its folder
	Kind    Kind
	Network Planned // of a search and a training
	Seed    uint64  // of a training
	// After names the parts that must be finished before.
	After []string
}

// Parts lists the work on networks, in the order in which one process alone does it. The test comes last, behind all others.
func Parts(networks []Planned) []Part {
	var searches, trainings []Part
	searchOf := func(n Planned) []string {
		if n.Seed == 0 {
			return nil
		}
		return []string{string(KindSearch) + "-" + n.Name}
	}
	for _, n := range networks {
		if n.Seed != 0 {
			searches = append(searches, Part{Name: searchOf(n)[0], Kind: KindSearch, Network: n})
		}
		for _, seed := range n.TrainingSeeds {
			trainings = append(trainings, Part{Name: TrainingName(n.Name, seed), Kind: KindTrain, Network: n, Seed: seed, After: searchOf(n)})
		}
	}
	inside := Part{Name: string(KindInside), Kind: KindInside}
	for _, p := range searches {
		if p.Network.Group == GroupSearched {
			inside.After = append(inside.After, p.Name)
		}
	}
	all := append(slices.Concat(searches, trainings), inside)
	test := Part{Name: string(KindTest), Kind: KindTest}
	for _, p := range all {
		test.After = append(test.After, p.Name)
	}
	return append(all, test)
}

// TrainingName is the name of the part that trains a network with a seed.
func TrainingName(network string, seed uint64) string {
	return fmt.Sprintf("%s-%s-seed%d", KindTrain, network, seed)
}
