// One token a row by inverting the cumulative distribution at a given uniform
// number, in the order of the vocabulary.
//
// The steps and their order are those of transformers: repetition penalty,
// banned tokens, temperature, top-k, top-p, min-p. All three filters are cuts by
// value (top-p also by index among equals), so what is dropped is set to
// -infinity in a copy of the row and the same draw runs over it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "dispatch.h"
#include "numbers.h"
#include "parallel.h"

namespace qinglan {

struct Draw {
  double uniform;
  double temperature;
  double top_p;
  double min_p;
  double penalty;
  int64_t top_k;
  const int64_t* seen;
  int64_t seen_count;
  const int64_t* banned;
  int64_t banned_count;
};

struct Drawn {
  int64_t token;  // -1: the row has no finite distribution
  float logprob;
  float plain_logprob;
};

struct Sample {
  const float* logits;  // [rows, vocabulary]
  int64_t rows;
  int64_t vocabulary;
  const Draw* draws;
  Drawn* drawn;
};

namespace {

constexpr float kDropped = -std::numeric_limits<float>::infinity();

// Tokens whose weights are summed together; the draw is found block by block.
constexpr int64_t kBlock = 512;
constexpr int64_t kSums = 16;

// Greater weights first, counted by distance from the greatest logit: a ranking
// then sorts only the bin that the cut falls into.
constexpr int64_t kBins = 2048;
constexpr float kBinsPerNat = 64.0f;

struct Scratch {
  std::vector<float> row;
  std::vector<double> blocks;
  std::vector<double> bins;
  std::vector<std::pair<float, int64_t>> ranked;
};

// A row of logits, its greatest one and what multiplies distances from that.
struct Row {
  const float* logits;
  int64_t count;
  float most;
  float inverse_temperature;
};

QINGLAN_LEVELS(float, greatest, (const float* logits, int64_t count), (logits, count)) {
  float most[kSums];
  for (int64_t j = 0; j < kSums; ++j) most[j] = kDropped;
  const int64_t whole = count / kSums * kSums;
  for (int64_t i = 0; i < whole; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) most[j] = logits[i + j] > most[j] ? logits[i + j] : most[j];
  }
  for (int64_t i = whole; i < count; ++i) {
    most[i - whole] = logits[i] > most[i - whole] ? logits[i] : most[i - whole];
  }
  return *std::max_element(most, most + kSums);
}

// Weights exp((logit - most) / temperature) of the tokens [first, first + count).
QINGLAN_LEVELS(void, weigh, (const Row& row, int64_t first, int64_t count, float* weights),
               (row, first, count, weights)) {
  for (int64_t i = 0; i < count; ++i) {
    weights[i] = exp_fast((row.logits[first + i] - row.most) * row.inverse_temperature);
  }
}

QINGLAN_LEVELS(double, add_up, (const float* weights, int64_t count), (weights, count)) {
  double sums[kSums] = {};
  const int64_t whole = count / kSums * kSums;
  for (int64_t i = 0; i < whole; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) sums[j] += double(weights[i + j]);
  }
  for (int64_t i = whole; i < count; ++i) sums[i - whole] += double(weights[i]);
  double sum = 0.0;
  for (int64_t j = 0; j < kSums; ++j) sum += sums[j];
  return sum;
}

// The sum of all weights; `blocks` gets each block's.
double total_weight(const Row& row, std::vector<double>& blocks) {
  float weights[kBlock];
  double total = 0.0;
  blocks.clear();
  for (int64_t first = 0; first < row.count; first += kBlock) {
    const int64_t count = std::min(kBlock, row.count - first);
    weigh(row, first, count, weights);
    const double sum = add_up(weights, count);
    blocks.push_back(sum);
    total += sum;
  }
  return total;
}

// The first token whose cumulative weight is above `target`. Rounding can leave
// the target at the very end: then the last token with any weight.
int64_t invert(const Row& row, const std::vector<double>& blocks, double target) {
  int64_t first = 0;
  double before = 0.0;
  double end = 0.0;
  for (size_t block = 0; block < blocks.size() && end <= target; ++block) {
    if (blocks[block] > 0.0) {
      first = int64_t(block) * kBlock;
      before = end;
    }
    end += blocks[block];
  }
  float weights[kBlock];
  const int64_t count = std::min(kBlock, row.count - first);
  weigh(row, first, count, weights);
  int64_t token = -1;
  for (int64_t i = 0; i < count && before <= target; ++i) {
    if (weights[i] > 0.0f) token = first + i;
    before += double(weights[i]);
  }
  return token;
}

void drop_below(float* logits, int64_t count, float value, int64_t index) {
  for (int64_t i = 0; i < count; ++i) {
    const bool kept = logits[i] > value || (logits[i] == value && i >= index);
    logits[i] = kept ? logits[i] : kDropped;
  }
}

// Keeps the greatest tokens, each as long as those above it amount to less than
// `limit`: tokens counted, or the share of the weight. Of equal ones, counting
// keeps all with the last kept, and weighing keeps the higher index, as sorting
// upwards without disturbing equals and dropping from the start would.
void keep_greatest(const Row& row, float* logits, Scratch& scratch, double limit, bool counted) {
  float weights[kBlock];
  const auto bin_of = [&](int64_t token) {
    const float nats = (row.most - logits[token]) * row.inverse_temperature;
    return nats < float(kBins - 1) / kBinsPerNat ? int64_t(nats * kBinsPerNat) : kBins - 1;
  };
  std::vector<double>& bins = scratch.bins;
  bins.assign(kBins, 0.0);
  for (int64_t first = 0; first < row.count; first += kBlock) {
    const int64_t count = std::min(kBlock, row.count - first);
    if (!counted) weigh(row, first, count, weights);
    for (int64_t i = 0; i < count; ++i) bins[bin_of(first + i)] += counted ? 1.0 : double(weights[i]);
  }
  if (!counted) {
    double total = 0.0;
    for (const double bin : bins) total += bin;
    limit *= total;
  }
  double above = 0.0;
  int64_t bin = 0;
  while (bin < kBins && above + bins[bin] < limit) above += bins[bin++];
  if (bin == kBins) return;

  auto& ranked = scratch.ranked;
  ranked.clear();
  for (int64_t token = 0; token < row.count; ++token) {
    if (bin_of(token) == bin) ranked.emplace_back(logits[token], token);
  }
  std::sort(ranked.begin(), ranked.end(), std::greater<>());
  // The greatest token stays whatever the limit.
  size_t last = 0;
  for (size_t i = 0; i < ranked.size() && above < limit; ++i) {
    last = i;
    weigh(row, ranked[i].second, 1, weights);
    above += counted ? 1.0 : double(weights[0]);
  }
  drop_below(logits, row.count, ranked[last].first, counted ? 0 : ranked[last].second);
}

// Drops tokens less likely than `share` of the likeliest.
void keep_share(const Row& row, float* logits, float share) {
  float weights[kBlock];
  for (int64_t first = 0; first < row.count; first += kBlock) {
    const int64_t count = std::min(kBlock, row.count - first);
    weigh(row, first, count, weights);
    for (int64_t i = 0; i < count; ++i) {
      if (weights[i] < share) logits[first + i] = kDropped;
    }
  }
}

bool alters(const Draw& draw) {
  return (draw.penalty != 1.0 && draw.seen_count > 0) || draw.banned_count > 0 || draw.top_k > 0 ||
         draw.top_p < 1.0 || draw.min_p > 0.0;
}

// A copy of the row with penalty, bans and filters applied.
Row altered(const Row& plain, const Draw& draw, Scratch& scratch) {
  scratch.row.assign(plain.logits, plain.logits + plain.count);
  float* logits = scratch.row.data();
  const float penalty = float(draw.penalty);
  for (int64_t i = 0; i < draw.seen_count; ++i) {
    // Read from the original, so that a token named twice is punished once.
    const float logit = plain.logits[draw.seen[i]];
    logits[draw.seen[i]] = logit < 0.0f ? logit * penalty : logit / penalty;
  }
  for (int64_t i = 0; i < draw.banned_count; ++i) logits[draw.banned[i]] = kDropped;
  const Row row = {logits, plain.count, greatest(logits, plain.count), plain.inverse_temperature};
  if (draw.temperature > 0.0 && std::isfinite(row.most)) {
    if (draw.top_k > 0) keep_greatest(row, logits, scratch, double(draw.top_k), true);
    if (draw.top_p < 1.0) keep_greatest(row, logits, scratch, draw.top_p, false);
    if (draw.min_p > 0.0) keep_share(row, logits, float(draw.min_p));
  }
  return row;
}

Drawn draw_token(const Row& plain, const Draw& draw, Scratch& scratch) {
  // Infinite or missing logits make the sum no finite number.
  const double plain_total = total_weight(plain, scratch.blocks);
  if (!std::isfinite(plain_total)) return {-1, 0.0f, 0.0f};
  Row row = plain;
  double total = plain_total;
  if (alters(draw)) {
    row = altered(plain, draw, scratch);
    total = total_weight(row, scratch.blocks);
    if (!std::isfinite(total)) return {-1, 0.0f, 0.0f};
  }
  const int64_t token = draw.temperature > 0.0
                            ? invert(row, scratch.blocks, draw.uniform * total)
                            : std::find(row.logits, row.logits + row.count, row.most) - row.logits;
  const auto logprob = [token](const Row& of, double sum) {
    return float(double((of.logits[token] - of.most) * of.inverse_temperature) - std::log(sum));
  };
  return {token, logprob(row, total), logprob(plain, plain_total)};
}

}  // namespace
}  // namespace qinglan

extern "C" const char* qinglan_sample(const qinglan::Sample* call) {
  using namespace qinglan;
  return guarded([&] {
    Tasks tasks(call->rows);
    on_threads(std::min(call->rows, worth(0.5 * double(call->rows * call->vocabulary))), [&] {
      Scratch scratch;
      for (int64_t row = tasks.take(); row >= 0; row = tasks.take()) {
        const Draw& draw = call->draws[row];
        const float* logits = call->logits + row * call->vocabulary;
        const float inverse = draw.temperature > 0.0 ? float(1.0 / draw.temperature) : 1.0f;
        const Row plain = {logits, call->vocabulary, greatest(logits, call->vocabulary), inverse};
        call->drawn[row] = draw_token(plain, draw, scratch);
      }
    });
  });
}
