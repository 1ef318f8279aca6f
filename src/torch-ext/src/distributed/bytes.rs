//! Collectives of bytes whose lengths the ranks do not know of each other: the
//! lengths go first, then the bytes.

use tch::{Device, Kind, Tensor};

use super::{Error, Group};

impl Group {
    /// The `bytes` of every rank, by rank. They may differ in length.
    pub fn all_gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        const NAME: &str = "all_gather_bytes";
        let lengths = Tensor::zeros([self.world as i64], (Kind::Int64, Device::Cpu));
        let own = Tensor::from_slice(&[bytes.len() as i64]);
        self.all_gather_as(NAME, &own, &lengths)?;
        let lengths = self.numbers(NAME, &lengths)?;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        if longest == 0 {
            return Ok(vec![Vec::new(); self.world]);
        }
        let options = (Kind::Uint8, Device::Cpu);
        let part = Tensor::zeros([longest as i64], options);
        part.narrow(0, 0, bytes.len() as i64)
            .copy_(&Tensor::from_slice(bytes));
        let whole = Tensor::zeros([(longest * self.world) as i64], options);
        self.all_gather_as(NAME, &part, &whole)?;
        let whole = self.bytes(NAME, &whole)?;
        Ok(whole
            .chunks(longest)
            .zip(lengths)
            .map(|(row, length)| row.get(..length).unwrap_or(row).to_vec())
            .collect())
    }

    /// Overwrites `bytes` with those of rank `root`, of whatever length.
    pub fn broadcast_bytes(&self, bytes: &mut Vec<u8>, root: usize) -> Result<(), Error> {
        const NAME: &str = "broadcast_bytes";
        let length = Tensor::from_slice(&[bytes.len() as i64]);
        self.broadcast_as(NAME, &length, root)?;
        let length = self.numbers(NAME, &length)?.first().copied().unwrap_or(0);
        if length == 0 {
            bytes.clear();
            return Ok(());
        }
        let tensor = if self.rank == root {
            Tensor::from_slice(bytes)
        } else {
            Tensor::zeros([length as i64], (Kind::Uint8, Device::Cpu))
        };
        self.broadcast_as(NAME, &tensor, root)?;
        *bytes = self.bytes(NAME, &tensor)?;
        Ok(())
    }

    fn numbers(&self, name: &'static str, tensor: &Tensor) -> Result<Vec<usize>, Error> {
        let numbers = Vec::<i64>::try_from(tensor);
        let numbers = numbers.map_err(|error| self.refused(name, error.to_string()))?;
        let to_length = |number: i64| {
            usize::try_from(number)
                .map_err(|_| self.refused(name, format!("a rank announced {number} bytes")))
        };
        numbers.into_iter().map(to_length).collect()
    }

    fn bytes(&self, name: &'static str, tensor: &Tensor) -> Result<Vec<u8>, Error> {
        Vec::<u8>::try_from(tensor).map_err(|error| self.refused(name, error.to_string()))
    }
}
